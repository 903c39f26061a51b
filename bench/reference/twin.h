/*
 * What recv.c and ring.c have in common: options, opening a socket so that it sees nothing too early, ending so that every
 * packet is accounted for, and the line of JSON. How packets are received is in the programs themselves.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/membarrier.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAX_WORKERS 256
#define NO_TARGET UINT64_MAX

struct worker {
  int fd;
  void *ring;
  pthread_t thread;
  /* NO_TARGET while the capture runs; then how many packets the kernel has delivered: the worker ends when it has read them. */
  uint64_t target;
  int done;
  uint64_t packets, bytes;
  uint64_t offered, drops, freezes;
} __attribute__((aligned(64)));

static struct worker workers[MAX_WORKERS];
static int worker_count = 1;
static int cpus[MAX_WORKERS], cpu_count;
static double duration;
static const char *interface_name;
static int interface_index;

static void die(const char *what) {
  fprintf(stderr, "%s: %s: %s\n", interface_name ? interface_name : "twin", what, strerror(errno));
  exit(1);
}

static void usage(const char *program) {
  fprintf(stderr, "usage: %s -i IFACE [-w WORKERS] [-p CPU,CPU] [-t SECONDS]\n", program);
  exit(2);
}

static void parse_options(int argc, char **argv) {
  int option;
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  while ((option = getopt(argc, argv, "i:w:p:t:")) != -1) {
    switch (option) {
    case 'i': interface_name = optarg; break;
    case 'w': worker_count = atoi(optarg); break;
    case 't': duration = atof(optarg); break;
    case 'p':
      for (char *cpu = strtok(optarg, ","); cpu && cpu_count < MAX_WORKERS; cpu = strtok(NULL, ",")) cpus[cpu_count++] = atoi(cpu);
      break;
    default: usage(argv[0]);
    }
  }
  if (!interface_name || worker_count < 1 || worker_count > MAX_WORKERS || optind != argc) usage(argv[0]);
  interface_index = if_nametoindex(interface_name);
  if (!interface_index) die("if_nametoindex");
}

/* A filter that takes nothing: what it rejects is neither delivered nor counted. */
static void close_gate(int fd) {
  struct sock_filter reject = BPF_STMT(BPF_RET | BPF_K, 0);
  struct sock_fprog program = {1, &reject};
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program)) die("SO_ATTACH_FILTER");
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
  close_gate(w->fd);
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
  w->drops += statistics.tp_drops;
  w->freezes += statistics.tp_freeze_q_cnt;
}

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec + now.tv_nsec / 1e9;
}

static double milliseconds(struct timeval from, struct timeval to) {
  return (to.tv_sec - from.tv_sec) * 1e3 + (to.tv_usec - from.tv_usec) / 1e3;
}

static void interrupt(int signal) { (void)signal; }

static void wait_for_end(const sigset_t *signals) {
  double end = duration > 0 ? seconds_now() + duration : 1e300;
  for (;;) {
    /* The kernel's counters have 32 bits: read them long before they wrap. */
    double left = end - seconds_now();
    if (left <= 0) return;
    if (left > 10) left = 10;
    struct timespec timeout = {(time_t)left, (long)((left - (time_t)left) * 1e9)};
    if (sigtimedwait(signals, NULL, &timeout) > 0) return;
    for (int i = 0; i < worker_count; i++) read_statistics(&workers[i]);
  }
}

/* Starts a worker for each open socket, lets packets in, and when told to stop reads to the last packet before it reports. */
static int run_workers(void *(*receive)(void *)) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  /* Without SA_RESTART: it ends a recv or poll that would wait for ever. */
  sigaction(SIGUSR1, &(struct sigaction){.sa_handler = interrupt}, NULL);

  for (int i = 0; i < worker_count; i++) {
    struct worker *w = &workers[i];
    w->target = NO_TARGET;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (cpu_count) {
      cpu_set_t set;
      CPU_ZERO(&set);
      CPU_SET(cpus[i % cpu_count], &set);
      pthread_attr_setaffinity_np(&attributes, sizeof set, &set);
    }
    if ((errno = pthread_create(&w->thread, &attributes, receive, w))) die("pthread_create");
  }

  struct rusage before, after;
  for (int i = 0; i < worker_count; i++) {
    /* The value is not used, but the kernel insists on an int. */
    int unused = 0;
    if (setsockopt(workers[i].fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused)) die("SO_DETACH_FILTER");
  }
  getrusage(RUSAGE_SELF, &before);
  double begin = seconds_now();
  puts("ready");
  fflush(stdout);

  wait_for_end(&signals);
  double seconds = seconds_now() - begin;
  getrusage(RUSAGE_SELF, &after);

  for (int i = 0; i < worker_count; i++) close_gate(workers[i].fd);
  /* After a grace period no packet is still on its way past the old, open gate: what the statistics say now is final. */
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0)) usleep(100000);
  for (int i = 0; i < worker_count; i++) {
    struct worker *w = &workers[i];
    read_statistics(w);
    __atomic_store_n(&w->target, w->offered - w->drops, __ATOMIC_RELEASE);
  }
  double deadline = seconds_now() + 10;
  for (int i = 0; i < worker_count; i++) {
    /* Again and again: a signal that comes between the worker's look at the target and its wait is lost. */
    while (!__atomic_load_n(&workers[i].done, __ATOMIC_ACQUIRE) && seconds_now() < deadline) {
      pthread_kill(workers[i].thread, SIGUSR1);
      usleep(1000);
    }
    if (!workers[i].done) {
      fprintf(stderr, "%s: worker %d: the kernel has delivered %llu packets and not all can be read\n", interface_name, i, (unsigned long long)workers[i].target);
      return 1;
    }
    pthread_join(workers[i].thread, NULL);
  }

  struct worker sum = {0};
  for (int i = 0; i < worker_count; i++) {
    sum.packets += workers[i].packets;
    sum.bytes += workers[i].bytes;
    sum.offered += workers[i].offered;
    sum.drops += workers[i].drops;
    sum.freezes += workers[i].freezes;
  }
  printf("{\"packets\":%llu,\"bytes\":%llu,\"offered\":%llu,\"drops\":%llu,\"freezes\":%llu,\"seconds\":%.6f,\"userMs\":%.3f,\"systemMs\":%.3f,\"workers\":[",
         (unsigned long long)sum.packets, (unsigned long long)sum.bytes, (unsigned long long)sum.offered, (unsigned long long)sum.drops,
         (unsigned long long)sum.freezes, seconds, milliseconds(before.ru_utime, after.ru_utime), milliseconds(before.ru_stime, after.ru_stime));
  for (int i = 0; i < worker_count; i++) {
    struct worker *w = &workers[i];
    printf("%s{\"packets\":%llu,\"bytes\":%llu,\"offered\":%llu,\"drops\":%llu}", i ? "," : "", (unsigned long long)w->packets,
           (unsigned long long)w->bytes, (unsigned long long)w->offered, (unsigned long long)w->drops);
  }
  puts("]}");
  return 0;
}
