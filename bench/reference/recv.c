/*
 * The first rungs of the ladder in C: an AF_PACKET socket and one recv(2) a packet. -w N opens N such sockets, joined by
 * PACKET_FANOUT_CPU, each with a thread of its own. See README.md.
 */
#include "packet-socket.h"

static void *receive(void *argument) {
  struct worker *w = argument;
  static __thread char buffer[65536];
  uint64_t packets = 0, bytes = 0;
  int flags = MSG_TRUNC; /* answers the length on the wire, however much the buffer takes */

  for (;;) {
    ssize_t length = recv(w->fd, buffer, sizeof buffer, flags);
    if (__builtin_expect(length < 0, 0)) {
      if (errno != EINTR && errno != EAGAIN) die("recv");
      uint64_t target = __atomic_load_n(&w->target, __ATOMIC_ACQUIRE);
      if (target == NO_TARGET) continue;
      if (packets == target) break;
      flags = MSG_TRUNC | MSG_DONTWAIT;
      continue;
    }
    packets++;
    bytes += length;
  }
  w->packets = packets;
  w->bytes = bytes;
  __atomic_store_n(&w->done, 1, __ATOMIC_RELEASE);
  return NULL;
}

int main(int argc, char **argv) {
  const struct gate gate = {open_gate, close_gate, read_statistics, {"socket"}};
  parse_options(argc, argv, "", "", NULL);
  for (int i = 0; i < worker_count; i++) {
    workers[i].fd = open_socket();
    bind_socket(&workers[i]);
  }
  return run_workers(&gate, receive);
}
