#include "base/test.h"
#include "house/board.h"
#include "run/run.h"

#include <unistd.h>

TEST(a_board_adds_up_what_all_have)
{
    int fd;
    Board *first, *second;
    check(!board_make(3, &fd));
    check(!board_open(fd, 3, 0, &first));
    for (int i = 0; i < 5; i++)
        board_enter(first, S("192.0.2.1"));
    check(!board_open(fd, 3, 2, &second));
    board_enter(second, S("192.0.2.1"));
    board_enter(second, S("2001:db8:1:2"));
    board_enter(second, S(""));
    check_u64(board_count(first, S("192.0.2.1")), 6);
    check_u64(board_count(first, S("2001:db8:1:2")), 1);
    check_u64(board_count(first, S("192.0.2.9")), 0);
    check_u64(board_connections(second), 8);
    board_leave(second, S("192.0.2.1"));
    check_u64(board_count(second, S("192.0.2.1")), 5);
    board_free(first);
    check(!board_open(fd, 3, 0, &first)); /* the process was killed: its connections have gone */
    check_u64(board_count(second, S("192.0.2.1")), 0);
    check_u64(board_connections(second), 2);
    board_free(first);
    board_free(second);
    check(board_open(fd, 3, 3, &first) == ERR_SYNTAX);
    check(board_open(fd, 2, 0, &first) == ERR_SYNTAX); /* a descriptor of another size */
    close(fd);
}

TEST(what_all_have_counted_is_printed_as_prometheus_reads_it)
{
    int fd;
    Board *first, *second;
    Buf out buf_scoped = {0};
    check(!board_make(2, &fd));
    check(!board_open(fd, 2, 0, &first));
    metric_add(METRIC_LOGINS, 3);
    check(!board_open(fd, 2, 1, &second));
    metric_add(METRIC_LOGINS_FAILED, 2);
    board_print_metrics(first, &out);
    Slice text = buf_slice(&out);
    check(slice_find_slice(text, S("# TYPE posthouse_logins_total counter\n")) < text.len);
    check(slice_find_slice(text, S("posthouse_logins_total{result=\"failed\"} 2\n")) < text.len);
    check(slice_find_slice(text, S("\nposthouse_fibers 0\n")) < text.len);
    board_free(first);
    board_free(second);
    close(fd);
}

/* What an upgrade meets: a warden whose metrics.def was another. */
TEST(a_board_of_another_layout_is_refused)
{
    int fd;
    Board *board = NULL;
    uint64_t layout;
    check(!board_make(2, &fd));
    check(pread(fd, &layout, sizeof layout, 0) == sizeof layout && layout);
    layout ^= (uint64_t)1 << 40;
    check(pwrite(fd, &layout, sizeof layout, 0) == sizeof layout);
    check(board_open(fd, 2, 0, &board) == ERR_CONFIG && !board);
    check(slice_find_slice(slice_of(err_story()), S("systemctl restart")) <
          slice_of(err_story()).len);
    close(fd);
}
