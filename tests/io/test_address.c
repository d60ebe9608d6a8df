/*
 * tests/io/test_address.c - addresses as text.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>

#include "io/address.h"

TestSuite(address, .timeout = 10);

/* What text becomes when it is parsed and formatted again. */
static const char *again(const char *text)
{
    static char out[RDL_ADDRESS_TEXT];
    struct rdl_address address;
    int rc = rdl_address_parse(text, &address);

    return rc < 0 ? strerror(-rc) : rdl_address_format(&address, out, sizeof(out));
}

Test(address, what_is_parsed_is_formatted_the_same)
{
    static const char *const texts[] = {
        "tcp:127.0.0.1:7000", "tcp:0.0.0.0:0",          "tcp:[::1]:65535",    "tcp:[::]:80",
        "tcp:*:7000",         "unix:/run/app.sock",     "unix:relative.sock", "unix:@abstract",
        "tcp:[fe80::1%1]:80", "unix:/with:colons:9000",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        cr_assert_str_eq(again(texts[i]), texts[i]);
    cr_assert_str_eq(again("tcp::7000"), "tcp:*:7000");
    cr_assert_str_eq(again("tcp:[0:0:0:0:0:0:0:1]:7"), "tcp:[::1]:7");
    cr_assert_str_eq(again("tcp:127.0.0.1:007"), "tcp:127.0.0.1:7");
    cr_assert_str_eq(again("tcp:[fe80::1%lo]:80"), "tcp:[fe80::1%1]:80");
}

Test(address, what_is_not_an_address_is_refused)
{
    static const char *const texts[] = {
        "",
        "tcp",
        "tcp:",
        "127.0.0.1:80",
        "/run/app.sock",
        "tcp:127.0.0.1",
        "tcp:127.0.0.1:",
        "tcp:127.0.0.1:65536",
        "tcp:127.0.0.1:-1",
        "tcp:127.0.0.1:+1",
        "tcp:127.0.0.1: 80",
        "tcp:127.0.0.1:80 ",
        "tcp:127.0.0.1:0x50",
        "tcp:127.0.0.1:99999999999999999999",
        "tcp:127.0.0:80",
        "tcp:256.0.0.1:80",
        "tcp:localhost:80",
        "tcp:::1:80",
        "tcp:[::1]",
        "tcp:[::1:80",
        "tcp:[]:80",
        "tcp:[127.0.0.1]:80",
        "tcp:[::1%]:80",
        "tcp:[fe80::1%99999999999]:80x",
        "tcp:1111111111111111111111111111111111111111111111111111111111111111111111111:1",
        "unix:",
        "unix:@",
        ":80",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct rdl_address address;
        cr_assert_eq(rdl_address_parse(texts[i], &address), -EINVAL, "%s", texts[i]);
    }
    cr_assert_eq(rdl_address_parse(NULL, NULL), -EINVAL);
}

Test(address, other_kinds_and_unknown_zones_have_errors_of_their_own)
{
    struct rdl_address address;

    cr_assert_eq(rdl_address_parse("udp:127.0.0.1:80", &address), -EAFNOSUPPORT);
    cr_assert_eq(rdl_address_parse("http://x/", &address), -EAFNOSUPPORT);
    cr_assert_eq(rdl_address_parse("tcp:[fe80::1%nosuch0]:80", &address), -ENODEV);
}

Test(address, a_unix_path_has_at_most_107_bytes)
{
    char text[5 + 110] = "unix:";
    struct rdl_address address;

    memset(text + 5, 'p', 107);
    cr_assert_eq(rdl_address_parse(text, &address), 0);
    cr_assert_eq(address.length, sizeof(struct sockaddr_un));
    cr_assert_str_eq(again(text), text);
    text[5 + 107] = 'p';
    cr_assert_eq(rdl_address_parse(text, &address), -ENAMETOOLONG);
    text[5] = '@';
    cr_assert_eq(rdl_address_parse(text, &address), 0);
    cr_assert_eq(address.length, sizeof(struct sockaddr_un));
    cr_assert_str_eq(again(text), text);
    text[5 + 108] = 'p';
    cr_assert_eq(rdl_address_parse(text, &address), -ENAMETOOLONG);
}

Test(address, a_failed_parse_leaves_the_result_alone)
{
    struct rdl_address address;

    cr_assert_eq(rdl_address_parse("tcp:127.0.0.1:1", &address), 0);
    cr_assert_eq(rdl_address_parse("tcp:127.0.0.1:x", &address), -EINVAL);
    cr_assert_eq(rdl_address_port(&address), 1);
}

Test(address, every_address_can_be_narrowed_to_ipv4)
{
    struct rdl_address address;
    char text[RDL_ADDRESS_TEXT];

    cr_assert_eq(rdl_address_parse("tcp:*:81", &address), 0);
    cr_assert_eq(address.at.any.sa_family, AF_INET6);
    rdl_address_narrow(&address);
    cr_assert_eq(address.at.any.sa_family, AF_INET);
    cr_assert_eq(rdl_address_port(&address), 81);
    cr_assert_str_eq(rdl_address_format(&address, text, sizeof(text)), "tcp:*:81");
}

Test(address, format_cuts_off_what_has_no_room)
{
    struct rdl_address address;
    char text[8];

    cr_assert_eq(rdl_address_parse("tcp:127.0.0.1:1", &address), 0);
    cr_assert_str_eq(rdl_address_format(&address, text, sizeof(text)), "tcp:127");
    address.at.any.sa_family = AF_APPLETALK;
    cr_assert_str_eq(rdl_address_format(&address, text, sizeof(text)), "?");
}
