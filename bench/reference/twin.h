/*
 * What the twins have in common: options, threads, ending so that every packet is accounted for, and the line of JSON. How packets
 * are received is in the programs themselves; what a socket is, in packet-socket.h and xdp.c.
 */
#define _GNU_SOURCE
#include <errno.h>
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
#define MAX_PLACES 3
#define NO_TARGET UINT64_MAX

struct worker {
  int fd;
  void *ring;
  pthread_t thread;
  /* NO_TARGET while the capture runs; then how many packets the kernel has delivered: the worker ends when it has read them. */
  uint64_t target;
  int done;
  uint64_t packets, bytes;
  /* What the kernel counts: packets that it had for this socket, and those that it lost, by place. */
  uint64_t offered, lost[MAX_PLACES], freezes;
} __attribute__((aligned(64)));

/* What a kind of socket brings. While the gate is closed no packet is delivered or counted. */
struct gate {
  void (*open)(struct worker *);
  void (*close)(struct worker *);
  /* Brings offered, lost and freezes up to date. */
  void (*read_statistics)(struct worker *);
  const char *places[MAX_PLACES];
};

static struct worker workers[MAX_WORKERS];
static int worker_count = 1;
static int cpus[MAX_WORKERS], cpu_count;
static double duration;
static const char *interface_name;
static int interface_index;

__attribute__((noreturn)) static void die(const char *what) {
  fprintf(stderr, "%s: %s: %s\n", interface_name ? interface_name : "twin", what, strerror(errno));
  exit(1);
}

__attribute__((noreturn)) static void usage(const char *program, const char *more) {
  fprintf(stderr, "usage: %s -i IFACE [-w WORKERS] [-p CPU,CPU] [-t SECONDS]%s\n", program, more);
  exit(2);
}

/* `letters` and `more` are a program's own options, as for getopt and for the usage line. */
static void parse_options(int argc, char **argv, const char *letters, const char *more, void (*take)(int option, const char *value)) {
  char all[32];
  int option;
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  snprintf(all, sizeof all, "i:w:p:t:%s", letters);
  while ((option = getopt(argc, argv, all)) != -1) {
    switch (option) {
    case 'i': interface_name = optarg; break;
    case 'w':
      worker_count = atoi(optarg);
      if (worker_count < 1) usage(argv[0], more);
      break;
    case 't': duration = atof(optarg); break;
    case 'p':
      for (char *cpu = strtok(optarg, ","); cpu && cpu_count < MAX_WORKERS; cpu = strtok(NULL, ",")) cpus[cpu_count++] = atoi(cpu);
      break;
    case '?': usage(argv[0], more);
    default: take(option, optarg);
    }
  }
  if (!interface_name || worker_count > MAX_WORKERS || optind != argc) usage(argv[0], more);
  interface_index = if_nametoindex(interface_name);
  if (!interface_index) die("if_nametoindex");
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

static void wait_for_end(const struct gate *gate, const sigset_t *signals) {
  double end = duration > 0 ? seconds_now() + duration : 1e300;
  for (;;) {
    /* The kernel's counters have 32 bits: read them long before they wrap. */
    double left = end - seconds_now();
    if (left <= 0) return;
    if (left > 10) left = 10;
    struct timespec timeout = {(time_t)left, (long)((left - (time_t)left) * 1e9)};
    if (sigtimedwait(signals, NULL, &timeout) > 0) return;
    for (int i = 0; i < worker_count; i++) gate->read_statistics(&workers[i]);
  }
}

static uint64_t drops_of(const struct worker *w) {
  uint64_t sum = 0;
  for (int i = 0; i < MAX_PLACES; i++) sum += w->lost[i];
  return sum;
}

static void print_counts(const struct worker *w) {
  printf("{\"packets\":%llu,\"bytes\":%llu,\"offered\":%llu,\"drops\":%llu", (unsigned long long)w->packets, (unsigned long long)w->bytes,
         (unsigned long long)w->offered, (unsigned long long)drops_of(w));
}

/* Starts a worker for each open socket, lets packets in, and when told to stop reads to the last packet before it reports. */
static int run_workers(const struct gate *gate, void *(*receive)(void *)) {
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
  for (int i = 0; i < worker_count; i++) gate->open(&workers[i]);
  getrusage(RUSAGE_SELF, &before);
  double begin = seconds_now();
  puts("ready");
  fflush(stdout);

  wait_for_end(gate, &signals);
  double seconds = seconds_now() - begin;
  getrusage(RUSAGE_SELF, &after);

  for (int i = 0; i < worker_count; i++) gate->close(&workers[i]);
  /* After a grace period no packet is still on its way past the old, open gate: what the statistics say now is final. */
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0)) usleep(100000);
  for (int i = 0; i < worker_count; i++) {
    struct worker *w = &workers[i];
    gate->read_statistics(w);
    __atomic_store_n(&w->target, w->offered - drops_of(w), __ATOMIC_RELEASE);
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
    for (int place = 0; place < MAX_PLACES; place++) sum.lost[place] += workers[i].lost[place];
    sum.freezes += workers[i].freezes;
  }
  print_counts(&sum);
  for (int place = 0; place < MAX_PLACES && gate->places[place]; place++)
    printf("%s\"%s\":%llu", place ? "," : ",\"lost\":{", gate->places[place], (unsigned long long)sum.lost[place]);
  printf("},\"freezes\":%llu,\"seconds\":%.6f,\"userMs\":%.3f,\"systemMs\":%.3f,\"workers\":[", (unsigned long long)sum.freezes, seconds,
         milliseconds(before.ru_utime, after.ru_utime), milliseconds(before.ru_stime, after.ru_stime));
  for (int i = 0; i < worker_count; i++) {
    if (i) putchar(',');
    print_counts(&workers[i]);
    putchar('}');
  }
  puts("]}");
  return 0;
}
