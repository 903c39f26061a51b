/*
 * The C twin of bench/records: walks fabricated TPACKET_V3 blocks and makes a pcap or pcapng record of each packet in a buffer of
 * 1 MiB, by memcpy. Prints the nanoseconds a packet of the best of some rounds. Usage: records pcap|pcapng FRAME_BYTES BYTES [BLOCK_BYTES]
 */
#define _GNU_SOURCE
#include <linux/if_packet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define FRAME 82 /* where tpacket_rcv() puts an Ethernet frame behind its header */
#define BUFFER_BYTES (1 << 20)
#define SNAP_LENGTH 262144
#define OUTGOING 4
#define ROUNDS 15
#define BYTES_A_ROUND 200e6

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static void *map(size_t bytes) {
  void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (at == MAP_FAILED) {
    perror("mmap");
    exit(1);
  }
  return at;
}

static uint32_t fill(struct tpacket_block_desc *block, size_t block_bytes, uint32_t frame_bytes) {
  uint32_t stride = (FRAME + frame_bytes + 7) & ~7u, count = (block_bytes - sizeof *block) / stride;
  char *at = (char *)block + sizeof *block;
  block->hdr.bh1.num_pkts = count;
  block->hdr.bh1.offset_to_first_pkt = sizeof *block;
  for (uint32_t i = 0; i < count; i++, at += stride) {
    struct tpacket3_hdr *header = (void *)at;
    header->tp_next_offset = i + 1 == count ? 0 : stride;
    header->tp_len = header->tp_snaplen = frame_bytes;
    header->tp_sec = 1700000000;
    header->tp_nsec = i;
    header->tp_mac = FRAME;
    memset(at + FRAME, i, frame_bytes);
  }
  return count;
}

/* Answers where the next record goes; `out` when there is no room. */
static char *pcap_record(const struct tpacket3_hdr *header, char *out, const char *end) {
  uint32_t length = header->tp_snaplen < SNAP_LENGTH ? header->tp_snaplen : SNAP_LENGTH;
  uint32_t fields[4] = {header->tp_sec, header->tp_nsec, length, header->tp_len};
  if (length + 16 > (size_t)(end - out)) return out;
  memcpy(out, fields, sizeof fields);
  memcpy(out + 16, (const char *)header + header->tp_mac, length);
  return out + 16 + length;
}

static char *enhanced_packet_block(const struct tpacket3_hdr *header, char *out, const char *end) {
  const struct sockaddr_ll *address = (const void *)(header + 1);
  uint32_t length = header->tp_snaplen < SNAP_LENGTH ? header->tp_snaplen : SNAP_LENGTH, padded = (length + 3) & ~3u;
  uint32_t options = address->sll_pkttype == OUTGOING ? 12 : 0, total = 32 + padded + options;
  uint64_t time = header->tp_sec * 1000000000ull + header->tp_nsec;
  uint32_t fields[7] = {6, total, 0, time >> 32, (uint32_t)time, length, header->tp_len};
  if (total > (size_t)(end - out)) return out;
  memcpy(out, fields, sizeof fields);
  memcpy(out + 28, (const char *)header + header->tp_mac, length);
  memset(out + 28 + length, 0, padded - length);
  if (options) memcpy(out + 28 + padded, (uint32_t[3]){2 | 4 << 16, 2, 0}, 12);
  memcpy(out + total - 4, &total, 4);
  return out + total;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  int pcap = !strcmp(argv[1], "pcap");
  uint32_t frame_bytes = strtoul(argv[2], NULL, 0);
  size_t bytes = strtoul(argv[3], NULL, 0), block_bytes = argc > 4 ? strtoul(argv[4], NULL, 0) : bytes, blocks = bytes / block_bytes;
  char *ring = map(bytes), *buffer = map(BUFFER_BYTES), *end = buffer + BUFFER_BYTES;
  uint32_t in_block = 0;
  for (size_t b = 0; b < blocks; b++) in_block = fill((void *)(ring + b * block_bytes), block_bytes, frame_bytes);
  int turns = BYTES_A_ROUND / bytes + 1;
  double best = 1e18;
  for (int round = 0; round < ROUNDS; round++) {
    char *out = buffer;
    double start = now_ns();
    for (int turn = 0; turn < turns; turn++)
      for (size_t b = 0; b < blocks; b++) {
        const struct tpacket_block_desc *block = (void *)(ring + b * block_bytes);
        const struct tpacket3_hdr *header = (void *)((char *)block + block->hdr.bh1.offset_to_first_pkt);
        for (uint32_t i = 0; i < block->hdr.bh1.num_pkts; i++) {
          char *next = pcap ? pcap_record(header, out, end) : enhanced_packet_block(header, out, end);
          if (next == out) {
            out = buffer;
            next = pcap ? pcap_record(header, out, end) : enhanced_packet_block(header, out, end);
          }
          out = next;
          header = (void *)((char *)header + header->tp_next_offset);
        }
      }
    double each = (now_ns() - start) / ((double)turns * blocks * in_block);
    if (each < best) best = each;
  }
  printf("%.2f\n", best);
  return 0;
}
