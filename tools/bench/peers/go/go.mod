module raddle-peer

go 1.19
