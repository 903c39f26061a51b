/* AF_PACKET sockets as recv.c and ring.c open them, so that they see nothing too early, and their part of the account. */
#include "twin.h"
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

/* A filter that takes nothing: what it rejects is neither delivered nor counted. */
static void close_gate(struct worker *w) {
  struct sock_filter reject = BPF_STMT(BPF_RET | BPF_K, 0);
  struct sock_fprog program = {1, &reject};
  if (setsockopt(w->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program)) die("SO_ATTACH_FILTER");
}

static void open_gate(struct worker *w) {
  /* The value is not used, but the kernel insists on an int. */
  int unused = 0;
  if (setsockopt(w->fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused)) die("SO_DETACH_FILTER");
}

/* Protocol 0: until bind the socket sees no packet of any interface. */
static int open_socket(void) {
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket(AF_PACKET)");
  return fd;
}

/* After the ring, if there is one: promiscuous mode, then bind, then the fanout group, all behind a closed gate. */
static void bind_socket(struct worker *w) {
  struct packet_mreq membership = {.mr_ifindex = interface_index, .mr_type = PACKET_MR_PROMISC};
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = interface_index};
  static int group = -1;

  if (setsockopt(w->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof membership)) die("PACKET_MR_PROMISC");
  close_gate(w);
  if (bind(w->fd, (struct sockaddr *)&address, sizeof address)) die("bind");
  if (worker_count == 1) return;

  int fanout = group < 0 ? (PACKET_FANOUT_CPU | PACKET_FANOUT_FLAG_UNIQUEID) << 16 : group | PACKET_FANOUT_CPU << 16;
  if (setsockopt(w->fd, SOL_PACKET, PACKET_FANOUT, &fanout, sizeof fanout)) die("PACKET_FANOUT");
  if (group < 0) {
    socklen_t length = sizeof fanout;
    if (getsockopt(w->fd, SOL_PACKET, PACKET_FANOUT, &fanout, &length)) die("PACKET_FANOUT");
    group = fanout & 0xffff;
  }
}

static void read_statistics(struct worker *w) {
  /* Clears on read; tp_packets includes tp_drops. Without TPACKET_V3 the kernel fills the first two fields. */
  struct tpacket_stats_v3 statistics = {0};
  socklen_t length = sizeof statistics;
  if (getsockopt(w->fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &length)) die("PACKET_STATISTICS");
  w->offered += statistics.tp_packets;
  w->lost[0] += statistics.tp_drops;
  w->freezes += statistics.tp_freeze_q_cnt;
}
