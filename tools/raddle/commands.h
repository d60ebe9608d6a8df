/*
 * raddle/commands.h - the subcommands. Each takes its own argv, whose first element is its name,
 * and returns the exit status.
 */
#ifndef RDL_TOOLS_COMMANDS_H
#define RDL_TOOLS_COMMANDS_H

int rdl_command_serve(int argc, char **argv);
int rdl_command_load(int argc, char **argv);
int rdl_command_doctor(int argc, char **argv);
int rdl_command_bench(int argc, char **argv);

#endif
