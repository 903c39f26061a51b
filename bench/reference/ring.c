/*
 * The upper rungs of the ladder in C: a TPACKET_V3 ring that the kernel writes and this program reads in place, one poll(2) a
 * block at most. -w N opens N rings, joined by PACKET_FANOUT_CPU, each with a thread of its own. See README.md.
 */
#include "packet-socket.h"
#include <poll.h>
#include <sys/mman.h>

/* The article's geometry. */
#define BLOCK_SIZE (1 << 22)
#define BLOCK_COUNT 64
#define FRAME_SIZE (1 << 11)
#define RETIRE_MS 60

static void *receive(void *argument) {
  struct worker *w = argument;
  struct pollfd readable = {.fd = w->fd, .events = POLLIN | POLLERR};
  uint64_t packets = 0, bytes = 0;
  unsigned index = 0;

  for (;;) {
    struct tpacket_block_desc *block = (void *)((char *)w->ring + (size_t)index * BLOCK_SIZE);
    struct tpacket_hdr_v1 *header = &block->hdr.bh1;

    if (!(__atomic_load_n(&header->block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) {
      if (packets == __atomic_load_n(&w->target, __ATOMIC_ACQUIRE)) break;
      if (poll(&readable, 1, -1) < 0 && errno != EINTR) die("poll");
      if (readable.revents & (POLLERR | POLLNVAL)) {
        socklen_t length = sizeof errno;
        getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &errno, &length);
        die("poll");
      }
      continue;
    }

    struct tpacket3_hdr *packet = (void *)((char *)block + header->offset_to_first_pkt);
    for (uint32_t left = header->num_pkts; left; left--) {
      packets++;
      bytes += packet->tp_len;
      packet = (void *)((char *)packet + packet->tp_next_offset);
    }
    __atomic_store_n(&header->block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    index = (index + 1) % BLOCK_COUNT;
  }
  w->packets = packets;
  w->bytes = bytes;
  __atomic_store_n(&w->done, 1, __ATOMIC_RELEASE);
  return NULL;
}

static void open_ring(struct worker *w) {
  int version = TPACKET_V3;
  struct tpacket_req3 request = {
      .tp_block_size = BLOCK_SIZE,
      .tp_block_nr = BLOCK_COUNT,
      .tp_frame_size = FRAME_SIZE,
      .tp_frame_nr = BLOCK_SIZE / FRAME_SIZE * BLOCK_COUNT,
      .tp_retire_blk_tov = RETIRE_MS,
      .tp_feature_req_word = TP_FT_REQ_FILL_RXHASH,
  };
  if (setsockopt(w->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version)) die("PACKET_VERSION");
  if (setsockopt(w->fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request)) die("PACKET_RX_RING");
  w->ring = mmap(NULL, (size_t)BLOCK_SIZE * BLOCK_COUNT, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, w->fd, 0);
  if (w->ring == MAP_FAILED) die("mmap");
}

int main(int argc, char **argv) {
  const struct gate gate = {open_gate, close_gate, read_statistics, {"ring"}};
  parse_options(argc, argv, "", "", NULL);
  for (int i = 0; i < worker_count; i++) {
    workers[i].fd = open_socket();
    open_ring(&workers[i]);
    bind_socket(&workers[i]);
  }
  return run_workers(&gate, receive);
}
