/*
 * The C twin of bench/matcher: runs a classic BPF program over packets in memory, and prints the nanoseconds a packet of the best of
 * some rounds: of the plain interpreter below, and of libpcap's bpf_filter(), 0 where there is no libpcap. Then how many packets
 * were accepted. Usage: bpf FILE, which bench/matcher.ts writes: the number of instructions and of packets, struct sock_filter each,
 * the offset and length of each packet, the bytes.
 */
#include <dlfcn.h>
#include <linux/filter.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS 15
#define PACKETS_A_ROUND 500000

struct place {
  uint32_t offset, length;
};

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static uint32_t be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }
static uint32_t be32(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

#define LOAD(at, size, value)                                   \
  do {                                                          \
    uint32_t k = (at);                                          \
    if (k > captured || captured - k < (size)) return 0;        \
    A = value(packet + k);                                      \
  } while (0)
#define BYTE(p) (*(p))
#define BOTH(operation, statement)                                          \
  case BPF_ALU | operation | BPF_K: { uint32_t o = pc->k; statement; } break; \
  case BPF_ALU | operation | BPF_X: { uint32_t o = X; statement; } break;
#define JUMP(operation, condition)                                                                  \
  case BPF_JMP | operation | BPF_K: { uint32_t o = pc->k; pc += (condition) ? pc->jt : pc->jf; } break; \
  case BPF_JMP | operation | BPF_X: { uint32_t o = X; pc += (condition) ? pc->jt : pc->jf; } break;

__attribute__((noinline)) static uint32_t run(const struct sock_filter *pc, const uint8_t *packet, uint32_t wire, uint32_t captured) {
  uint32_t A = 0, X = 0, M[BPF_MEMWORDS];
  for (;; pc++) {
    switch (pc->code) {
      case BPF_LD | BPF_W | BPF_ABS: LOAD(pc->k, 4, be32); break;
      case BPF_LD | BPF_H | BPF_ABS: LOAD(pc->k, 2, be16); break;
      case BPF_LD | BPF_B | BPF_ABS: LOAD(pc->k, 1, BYTE); break;
      case BPF_LD | BPF_W | BPF_IND: LOAD(X + pc->k, 4, be32); break;
      case BPF_LD | BPF_H | BPF_IND: LOAD(X + pc->k, 2, be16); break;
      case BPF_LD | BPF_B | BPF_IND: LOAD(X + pc->k, 1, BYTE); break;
      case BPF_LDX | BPF_B | BPF_MSH:
        if (pc->k >= captured) return 0;
        X = (packet[pc->k] & 15) << 2;
        break;
      case BPF_LD | BPF_W | BPF_LEN: A = wire; break;
      case BPF_LDX | BPF_W | BPF_LEN: X = wire; break;
      case BPF_LD | BPF_IMM: A = pc->k; break;
      case BPF_LDX | BPF_IMM: X = pc->k; break;
      case BPF_LD | BPF_MEM: A = M[pc->k]; break;
      case BPF_LDX | BPF_MEM: X = M[pc->k]; break;
      case BPF_ST: M[pc->k] = A; break;
      case BPF_STX: M[pc->k] = X; break;
      BOTH(BPF_ADD, A += o)
      BOTH(BPF_SUB, A -= o)
      BOTH(BPF_MUL, A *= o)
      BOTH(BPF_DIV, if (!o) return 0; A /= o)
      BOTH(BPF_MOD, if (!o) return 0; A %= o)
      BOTH(BPF_AND, A &= o)
      BOTH(BPF_OR, A |= o)
      BOTH(BPF_XOR, A ^= o)
      BOTH(BPF_LSH, A <<= o & 31)
      BOTH(BPF_RSH, A >>= o & 31)
      case BPF_ALU | BPF_NEG: A = -A; break;
      case BPF_JMP | BPF_JA: pc += pc->k; break;
      JUMP(BPF_JEQ, A == o)
      JUMP(BPF_JGT, A > o)
      JUMP(BPF_JGE, A >= o)
      JUMP(BPF_JSET, A & o)
      case BPF_RET | BPF_K: return pc->k;
      case BPF_RET | BPF_A: return A;
      case BPF_MISC | BPF_TAX: X = A; break;
      case BPF_MISC | BPF_TXA: A = X; break;
      default: return 0;
    }
  }
}

typedef unsigned filter(const void *program, const unsigned char *packet, unsigned wire, unsigned captured);

static unsigned plain(const void *program, const unsigned char *packet, unsigned wire, unsigned captured) { return run(program, packet, wire, captured); }

static double measure(filter *call, const struct sock_filter *program, const uint8_t *bytes, const struct place *places, uint32_t count, uint32_t *accepted) {
  double best = 1e18;
  uint32_t passes = (PACKETS_A_ROUND + count - 1) / count;
  for (int round = 0; round < ROUNDS; round++) {
    uint32_t sum = 0;
    double start = now_ns();
    for (uint32_t pass = 0; pass < passes; pass++)
      for (uint32_t i = 0; i < count; i++) sum += call(program, bytes + places[i].offset, places[i].length, places[i].length) != 0;
    double each = (now_ns() - start) / ((double)passes * count);
    if (each < best) best = each;
    *accepted = sum / passes;
  }
  return best;
}

int main(int argc, char **argv) {
  FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
  uint32_t counts[2];
  if (!file || fread(counts, sizeof counts, 1, file) != 1) {
    fprintf(stderr, "usage: bpf FILE\n");
    return 2;
  }
  struct sock_filter *program = calloc(counts[0], sizeof *program);
  struct place *places = calloc(counts[1], sizeof *places);
  if (!program || !places || fread(program, sizeof *program, counts[0], file) != counts[0] || fread(places, sizeof *places, counts[1], file) != counts[1])
    return 1;
  size_t size = 0;
  for (uint32_t i = 0; i < counts[1]; i++)
    if (places[i].offset + (size_t)places[i].length > size) size = places[i].offset + (size_t)places[i].length;
  uint8_t *bytes = malloc(size);
  if (!bytes || fread(bytes, 1, size, file) != size) return 1;
  uint32_t accepted = 0, theirs = 0;
  double own = measure(plain, program, bytes, places, counts[1], &accepted);
  void *library = dlopen("libpcap.so.1", RTLD_NOW);
  if (!library) library = dlopen("libpcap.so.0.8", RTLD_NOW);
  filter *libpcap = library ? (filter *)dlsym(library, "bpf_filter") : NULL;
  double pcap = libpcap ? measure(libpcap, program, bytes, places, counts[1], &theirs) : 0;
  if (libpcap && theirs != accepted) return 1;
  printf("%.2f %.2f %u\n", own, pcap, accepted);
  return 0;
}
