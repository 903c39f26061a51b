/*
 * The C twin of bench/xsk: takes descriptors from a fabricated RX ring and gives their chunks back through a FILL ring, as with the
 * kernel. `lengths` adds up their lengths; `headers` writes a TPACKET_V3 header before each packet as src/ring/umem.ts does, and calls
 * an empty function for each. Prints the nanoseconds a packet of the best of some rounds. Usage: xskwalk lengths|headers [CHUNKS]
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <net/if_arp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define CHUNK 2048
#define FRAME (256 + 2)
#define HEADER (FRAME - 82)
#define MAX_BATCH 2048
#define ROUNDS 15
#define PACKETS_A_ROUND 1000000

static uint32_t chunks = 32768;
static struct xdp_desc *rx;
static uint64_t *fill;
static uint32_t rx_producer, rx_consumer, fill_producer, fill_consumer;
static char *umem;
static uint64_t bytes;

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

__attribute__((noinline)) static void empty(struct tpacket3_hdr *packet) { __asm__ volatile("" : : "r"(packet) : "memory"); }
static void (*volatile handler)(struct tpacket3_hdr *) = empty;

static void take_lengths(uint32_t first, uint32_t to, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    struct xdp_desc *desc = &rx[(first + i) & (chunks - 1)];
    fill[(to + i) & (chunks - 1)] = desc->addr & ~(uint64_t)(CHUNK - 1);
    bytes += desc->len;
  }
}

static void take_packets(uint32_t first, uint32_t to, uint32_t count) {
  static const uint8_t mac[6] = {0x02, 0x11, 0x22, 0x33, 0x44, 0x55};
  struct tpacket3_hdr *previous = NULL, *begin = NULL;
  uint32_t packets = 0;
  for (uint32_t i = 0; i < count; i++) {
    struct xdp_desc *desc = &rx[(first + i) & (chunks - 1)];
    uint64_t chunk = desc->addr & ~(uint64_t)(CHUNK - 1);
    fill[(to + i) & (chunks - 1)] = chunk;
    struct ethhdr *ethernet = (void *)(umem + desc->addr);
    struct tpacket3_hdr *header = (void *)(umem + chunk + HEADER);
    struct sockaddr_ll *address = (void *)((char *)header + TPACKET_ALIGN(sizeof *header));
    if (header <= previous) break;
    if (previous) previous->tp_next_offset = (char *)header - (char *)previous;
    else begin = header;
    uint8_t type = PACKET_OTHERHOST;
    if (ethernet->h_dest[0] & 1) type = memcmp(ethernet->h_dest, "\xff\xff\xff\xff\xff\xff", 6) ? PACKET_MULTICAST : PACKET_BROADCAST;
    else if (!memcmp(ethernet->h_dest, mac, 6)) type = PACKET_HOST;
    header->tp_sec = 1;
    header->tp_nsec = 2;
    header->tp_snaplen = header->tp_len = desc->len;
    header->tp_status = 0;
    header->tp_mac = (char *)ethernet - (char *)header;
    header->tp_net = header->tp_mac + ETH_HLEN;
    address->sll_family = AF_PACKET;
    address->sll_protocol = ethernet->h_proto;
    address->sll_hatype = ARPHRD_ETHER;
    address->sll_pkttype = type;
    previous = header;
    packets++;
  }
  if (previous) previous->tp_next_offset = 0;
  struct tpacket3_hdr *packet = begin;
  for (uint32_t i = 0; i < packets; i++) {
    handler(packet);
    packet = (void *)((char *)packet + packet->tp_next_offset);
  }
}

int main(int argc, char **argv) {
  int headers = argc > 1 && !strcmp(argv[1], "headers");
  if (argc > 2) chunks = strtoul(argv[2], NULL, 0);
  rx = calloc(chunks, sizeof *rx);
  fill = calloc(chunks, sizeof *fill);
  umem = mmap(NULL, (size_t)chunks * CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (!rx || !fill || umem == MAP_FAILED) {
    perror("xskwalk");
    return 1;
  }
  for (uint32_t i = 0; i < chunks; i++) {
    rx[i] = (struct xdp_desc){.addr = (uint64_t)i * CHUNK + FRAME, .len = 60};
    struct ethhdr *ethernet = (void *)(umem + rx[i].addr);
    memcpy(ethernet->h_dest, "\x02\x00\x5e\x10\x00\x01", 6);
    ethernet->h_proto = htons(ETH_P_IP);
  }
  rx_producer = chunks;
  double best = 1e18;
  for (int round = 0; round < ROUNDS; round++) {
    uint64_t packets = 0;
    double start = now_ns();
    while (packets < PACKETS_A_ROUND) {
      uint32_t ready = __atomic_load_n(&rx_producer, __ATOMIC_ACQUIRE) - rx_consumer;
      uint32_t count = ready < MAX_BATCH ? ready : MAX_BATCH;
      if (chunks - (fill_producer - __atomic_load_n(&fill_consumer, __ATOMIC_ACQUIRE)) < count) return 1;
      (headers ? take_packets : take_lengths)(rx_consumer, fill_producer, count);
      packets += count;
      __atomic_store_n(&rx_consumer, rx_consumer + count, __ATOMIC_RELEASE);
      __atomic_store_n(&fill_producer, fill_producer + count, __ATOMIC_RELEASE);
      __atomic_store_n(&rx_producer, rx_consumer + chunks, __ATOMIC_RELEASE);
      __atomic_store_n(&fill_consumer, fill_producer, __ATOMIC_RELEASE);
    }
    double each = (now_ns() - start) / packets;
    if (each < best) best = each;
  }
  if (!headers && bytes % 60) return 1;
  printf("%.2f\n", best);
  return 0;
}
