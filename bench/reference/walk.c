/*
 * The C twin of bench/walk: walks fabricated TPACKET_V3 blocks, takes and gives back each as with the kernel, counts packets and
 * bytes. Prints the nanoseconds a packet of the best of some rounds. Usage: walk [BLOCKS] [BLOCK_BYTES]
 */
#include <linux/if_packet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#define STRIDE 144 /* tpacket3_hdr, sockaddr_ll, gap and a frame of 60 bytes, as tpacket_rcv() lays them out */

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv) {
  size_t blocks = argc > 1 ? strtoul(argv[1], NULL, 0) : 32;
  size_t block_bytes = argc > 2 ? strtoul(argv[2], NULL, 0) : 1 << 20;
  char *ring = mmap(NULL, blocks * block_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (ring == MAP_FAILED) {
    perror("mmap");
    return 1;
  }
  uint32_t in_block = (block_bytes - sizeof(struct tpacket_block_desc)) / STRIDE;
  for (size_t b = 0; b < blocks; b++) {
    struct tpacket_block_desc *desc = (void *)(ring + b * block_bytes);
    desc->hdr.bh1.num_pkts = in_block;
    desc->hdr.bh1.offset_to_first_pkt = sizeof(*desc);
    desc->hdr.bh1.block_status = TP_STATUS_USER;
    char *at = (char *)desc + sizeof(*desc);
    for (uint32_t i = 0; i < in_block; i++, at += STRIDE) {
      struct tpacket3_hdr *header = (void *)at;
      header->tp_next_offset = i + 1 == in_block ? 0 : STRIDE;
      header->tp_len = header->tp_snaplen = 60;
    }
  }
  volatile uint64_t packets = 0, bytes = 0;
  double best = 1e18;
  for (int round = 0; round < 15; round++) {
    uint64_t before = packets;
    double start = now_ns();
    for (int turn = 0; turn < 10; turn++)
      for (size_t b = 0; b < blocks; b++) {
        struct tpacket_block_desc *desc = (void *)(ring + b * block_bytes);
        if (!(__atomic_load_n(&desc->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) return 1;
        uint32_t count = desc->hdr.bh1.num_pkts;
        uint64_t sum = 0;
        struct tpacket3_hdr *header = (void *)((char *)desc + desc->hdr.bh1.offset_to_first_pkt);
        for (uint32_t i = 0; i < count; i++) {
          sum += header->tp_len;
          header = (void *)((char *)header + header->tp_next_offset);
        }
        packets += count;
        bytes += sum;
        __atomic_store_n(&desc->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        __atomic_store_n(&desc->hdr.bh1.block_status, TP_STATUS_USER, __ATOMIC_RELEASE);
      }
    double each = (now_ns() - start) / (double)(packets - before);
    if (each < best) best = each;
  }
  if (bytes != packets * 60) return 1;
  printf("%.2f\n", best);
  return 0;
}
