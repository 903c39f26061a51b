/*
 * The step after the article in C: an XDP program gives each frame to the AF_XDP socket of its receive queue, before the kernel makes
 * an sk_buff of it. A socket and a thread a queue, copy mode, nothing but system calls; the loop is that of the kernel's own xdpsock.
 * See README.md.
 */
#include "twin.h"
#include <linux/bpf.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define CHUNK_SIZE 2048
#define CHUNK_COUNT 32768 /* and entries of the RX and FILL rings */
#define MASK (CHUNK_COUNT - 1)
#define BATCH 256
#define MAX_CPUS 8192
/* So many packets since the ring was empty say that more will come soon. */
#define BUSY 32

struct ring {
  uint32_t *producer, *consumer, *flags;
  void *entries;
};

struct xsk {
  struct ring rx, fill;
};

static struct xsk sockets[MAX_WORKERS];
static int generic_mode;
/* After a busy time the reader sleeps so long: in poll(2) it would be woken for every few packets. 0: it polls always. */
static int pause_ms = 1;
static int socket_map, count_map;

static int bpf(int command, union bpf_attr *attributes) { return syscall(SYS_bpf, command, attributes, sizeof *attributes); }

static int create_map(int type, int value_size, int entries) {
  int fd = bpf(BPF_MAP_CREATE, &(union bpf_attr){.map_type = type, .key_size = 4, .value_size = value_size, .max_entries = entries});
  if (fd < 0) die("BPF_MAP_CREATE");
  return fd;
}

#define INSN(CODE, DST, SRC, OFF, IMM) ((struct bpf_insn){.code = CODE, .dst_reg = DST, .src_reg = SRC, .off = OFF, .imm = IMM})
#define MAP(DST, FD) INSN(BPF_LD | BPF_DW | BPF_IMM, DST, BPF_PSEUDO_MAP_FD, 0, FD), INSN(0, 0, 0, 0, 0)
#define CALL(FUNCTION) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, FUNCTION)

/* Redirects each frame to the socket of its queue and counts it; without one it goes to the stack. */
static void attach_program(void) {
  struct bpf_insn program[] = {
      INSN(BPF_LDX | BPF_MEM | BPF_W, 2, 1, offsetof(struct xdp_md, rx_queue_index), 0),
      INSN(BPF_STX | BPF_MEM | BPF_W, 10, 2, -4, 0),
      MAP(1, socket_map),
      INSN(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, XDP_PASS),
      CALL(BPF_FUNC_redirect_map),
      INSN(BPF_ALU64 | BPF_MOV | BPF_X, 6, 0, 0, 0),
      INSN(BPF_JMP | BPF_JNE | BPF_K, 6, 0, 9, XDP_REDIRECT),
      MAP(1, count_map),
      INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
      INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
      CALL(BPF_FUNC_map_lookup_elem),
      INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3, 0),
      INSN(BPF_LDX | BPF_MEM | BPF_DW, 1, 0, 0, 0),
      INSN(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, 1),
      INSN(BPF_STX | BPF_MEM | BPF_DW, 0, 1, 0, 0),
      INSN(BPF_ALU64 | BPF_MOV | BPF_X, 0, 6, 0, 0),
      INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  };
  int fd = bpf(BPF_PROG_LOAD, &(union bpf_attr){.prog_type = BPF_PROG_TYPE_XDP,
                                                .insns = (uintptr_t)program,
                                                .insn_cnt = sizeof program / sizeof *program,
                                                .license = (uintptr_t) "MIT",
                                                .expected_attach_type = BPF_XDP});
  if (fd < 0) die("BPF_PROG_LOAD");
  union bpf_attr link = {.link_create = {.prog_fd = fd, .target_ifindex = interface_index, .attach_type = BPF_XDP}};
  link.link_create.flags = generic_mode ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
  /* Until the process ends. */
  if (bpf(BPF_LINK_CREATE, &link) < 0) die("BPF_LINK_CREATE");
}

static void map_ring(struct ring *ring, int fd, const struct xdp_ring_offset *at, size_t entry, uint64_t page) {
  char *memory = mmap(NULL, at->desc + CHUNK_COUNT * entry, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, page);
  if (memory == MAP_FAILED) die("mmap");
  ring->producer = (void *)(memory + at->producer);
  ring->consumer = (void *)(memory + at->consumer);
  ring->flags = (void *)(memory + at->flags);
  ring->entries = memory + at->desc;
}

static void open_xsk(int queue) {
  struct xsk *x = &sockets[queue];
  int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0), entries = CHUNK_COUNT, completions = 64;
  if (fd < 0) die("socket(AF_XDP)");
  size_t length = (size_t)CHUNK_SIZE * CHUNK_COUNT;
  void *chunks = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (chunks == MAP_FAILED) die("mmap");
  struct xdp_umem_reg umem = {.addr = (uintptr_t)chunks, .len = length, .chunk_size = CHUNK_SIZE};
  if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &umem, sizeof umem)) die("XDP_UMEM_REG");
  if (setsockopt(fd, SOL_XDP, XDP_UMEM_FILL_RING, &entries, sizeof entries)) die("XDP_UMEM_FILL_RING");
  if (setsockopt(fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &completions, sizeof completions)) die("XDP_UMEM_COMPLETION_RING");
  if (setsockopt(fd, SOL_XDP, XDP_RX_RING, &entries, sizeof entries)) die("XDP_RX_RING");
  struct xdp_mmap_offsets offsets;
  socklen_t size = sizeof offsets;
  if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &size)) die("XDP_MMAP_OFFSETS");
  map_ring(&x->rx, fd, &offsets.rx, sizeof(struct xdp_desc), XDP_PGOFF_RX_RING);
  map_ring(&x->fill, fd, &offsets.fr, sizeof(uint64_t), XDP_UMEM_PGOFF_FILL_RING);
  for (uint64_t i = 0; i < CHUNK_COUNT; i++) ((uint64_t *)x->fill.entries)[i] = i * CHUNK_SIZE;
  __atomic_store_n(x->fill.producer, CHUNK_COUNT, __ATOMIC_RELEASE);

  struct sockaddr_xdp address = {
      .sxdp_family = AF_XDP, .sxdp_flags = XDP_COPY | XDP_USE_NEED_WAKEUP, .sxdp_ifindex = interface_index, .sxdp_queue_id = queue};
  /* The kernel lets go of a queue some time after its last socket was closed. */
  for (double limit = seconds_now() + 2; bind(fd, (struct sockaddr *)&address, sizeof address);) {
    if (errno != EBUSY || seconds_now() > limit) die("bind");
    usleep(10000);
  }
  workers[queue].fd = fd;
  workers[queue].ring = x;
}

static void open_gate(struct worker *w) {
  uint32_t queue = w - workers, fd = w->fd;
  if (bpf(BPF_MAP_UPDATE_ELEM, &(union bpf_attr){.map_fd = socket_map, .key = (uintptr_t)&queue, .value = (uintptr_t)&fd})) die("XSKMAP");
}

static void close_gate(struct worker *w) {
  uint32_t queue = w - workers;
  if (bpf(BPF_MAP_DELETE_ELEM, &(union bpf_attr){.map_fd = socket_map, .key = (uintptr_t)&queue})) die("XSKMAP");
}

static void read_statistics(struct worker *w) {
  static uint64_t counts[MAX_CPUS];
  uint32_t queue = w - workers;
  struct xdp_statistics statistics;
  socklen_t size = sizeof statistics;
  if (getsockopt(w->fd, SOL_XDP, XDP_STATISTICS, &statistics, &size)) die("XDP_STATISTICS");
  /* rx_dropped counts frames that found no chunk, and frames that are too long for one. */
  w->lost[0] = statistics.rx_dropped < statistics.rx_fill_ring_empty_descs ? statistics.rx_dropped : statistics.rx_fill_ring_empty_descs;
  w->lost[1] = statistics.rx_dropped - w->lost[0];
  w->lost[2] = statistics.rx_ring_full;
  if (bpf(BPF_MAP_LOOKUP_ELEM, &(union bpf_attr){.map_fd = count_map, .key = (uintptr_t)&queue, .value = (uintptr_t)counts})) die("BPF_MAP_LOOKUP_ELEM");
  w->offered = 0;
  for (int cpu = 0; cpu < MAX_CPUS; cpu++) w->offered += counts[cpu];
}

static void *receive(void *argument) {
  struct worker *w = argument;
  struct xsk *x = w->ring;
  struct pollfd readable = {.fd = w->fd, .events = POLLIN};
  const struct xdp_desc *received = x->rx.entries;
  uint64_t *free_chunks = x->fill.entries;
  uint32_t consumed = *x->rx.consumer, posted = *x->fill.producer, recent = 0;
  uint64_t packets = 0, bytes = 0;

  for (;;) {
    uint32_t count = __atomic_load_n(x->rx.producer, __ATOMIC_ACQUIRE) - consumed;
    if (!count) {
      if (packets == __atomic_load_n(&w->target, __ATOMIC_ACQUIRE)) break;
      int busy = recent > BUSY;
      recent = 0;
      if (pause_ms && busy) {
        usleep(pause_ms * 1000);
        continue;
      }
      if (poll(&readable, 1, -1) < 0 && errno != EINTR) die("poll");
      if (readable.revents & (POLLERR | POLLNVAL)) {
        socklen_t length = sizeof errno;
        getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &errno, &length);
        die("poll");
      }
      continue;
    }
    if (count > BATCH) count = BATCH;
    /* FILL has as many entries as there are chunks, so it has room for these. */
    for (uint32_t i = 0; i < count; i++) {
      const struct xdp_desc *packet = &received[(consumed + i) & MASK];
      bytes += packet->len;
      free_chunks[(posted + i) & MASK] = packet->addr;
    }
    packets += count;
    recent += count;
    posted += count;
    consumed += count;
    __atomic_store_n(x->fill.producer, posted, __ATOMIC_RELEASE);
    __atomic_store_n(x->rx.consumer, consumed, __ATOMIC_RELEASE);
    if (__atomic_load_n(x->fill.flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP) recv(w->fd, NULL, 0, MSG_DONTWAIT);
  }
  w->packets = packets;
  w->bytes = bytes;
  __atomic_store_n(&w->done, 1, __ATOMIC_RELEASE);
  return NULL;
}

static int count_queues(int fd) {
  struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
  struct ifreq request = {.ifr_data = (void *)&channels};
  strncpy(request.ifr_name, interface_name, IFNAMSIZ - 1);
  /* A driver that does not know has one. */
  if (ioctl(fd, SIOCETHTOOL, &request)) return 1;
  int queues = channels.rx_count + channels.combined_count;
  return queues < MAX_WORKERS ? queues : MAX_WORKERS;
}

static void take_option(int option, const char *value) {
  if (option == 'g') generic_mode = 1;
  else pause_ms = atoi(value);
}

int main(int argc, char **argv) {
  const struct gate gate = {open_gate, close_gate, read_statistics, {"fillRing", "oversize", "rxRing"}};
  worker_count = 0;
  parse_options(argc, argv, "gd:", " [-g] [-d MILLISECONDS]", take_option);

  /* Protocol 0: sees nothing, and takes the promiscuous mode with it when it goes. */
  int helper = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  struct packet_mreq membership = {.mr_ifindex = interface_index, .mr_type = PACKET_MR_PROMISC};
  if (helper < 0) die("socket(AF_PACKET)");
  if (setsockopt(helper, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof membership)) die("PACKET_MR_PROMISC");
  int queues = count_queues(helper);
  if (!worker_count) worker_count = queues;
  if (worker_count > queues) {
    fprintf(stderr, "%s: has %d receive queues\n", interface_name, queues);
    return 2;
  }
  socket_map = create_map(BPF_MAP_TYPE_XSKMAP, 4, worker_count);
  count_map = create_map(BPF_MAP_TYPE_PERCPU_ARRAY, 8, worker_count);
  attach_program();
  for (int queue = 0; queue < worker_count; queue++) open_xsk(queue);
  return run_workers(&gate, receive);
}
