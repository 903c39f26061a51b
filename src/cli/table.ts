/**
 * Every command and option of the command line, as data. Help, parsing, defaults and docs/cli.md are made from this table and from
 * nothing else. A letter that tcpdump has means what it means there, in every command.
 */
import type { KindName, KindValue } from './units.js'

export interface OptionRow {
  /** Long name without the dashes: the API's name in kebab-case, without the unit that the value carries itself. */
  name: string
  /** tcpdump's letter, where tcpdump has one. */
  letter?: string
  /** Other long names, tcpdump's. */
  aliases?: readonly string[]
  kind: KindName | 'flag' | 'enum'
  /** Of an `enum`. */
  values?: readonly string[]
  /** Stands for the value in the help, where the kind's own word says too little. */
  metavar?: string
  /** May be given several times; the value is a list, of a flag how often. */
  repeats?: true
  /** The value when the option is not given, as a user would write it. */
  default?: string
  /** What the library takes when the option is not given; for the reader. */
  libraryDefault?: string
  /** Bounds that only the command line knows; the library checks its own. In the unit of the parsed value. */
  min?: number
  max?: number
  /** Name of the same thing in the API. An error of the library that speaks of it is printed with the option's name. */
  api?: string
  group: string
  /** One line. */
  doc: string
}

export interface CommandRow {
  name: string
  usage: string
  /** One line, for the list of commands. */
  summary: string
  /** Paragraphs. */
  doc: readonly string[]
  /** Trailing words are a pcap-filter expression; other commands take none. */
  takesFilter?: true
  /** One trailing word is a file; of a command that takes a filter as well, those that come first. */
  takesFile?: true
  options: readonly OptionRow[]
  examples: readonly (readonly [command: string, meaning: string])[]
}

const WHAT = 'What to capture'
const HOW = 'How'
const OUTPUT = 'Output'
const FILE = 'File'
const PAST = 'Time machine'
const WHAT_TO_READ = 'What to read'
const HOW_TO_PRINT = 'How to print'
const INSTEAD = 'Instead'

const NETNS = {
  name: 'netns',
  kind: 'string',
  metavar: 'NAME|PATH|PID',
  api: 'netns',
  doc: 'network namespace: a name in /run/netns, a path, or a pid',
} as const
const JSON_LINES = { name: 'json', kind: 'flag', group: OUTPUT, doc: 'JSON lines instead of text' } as const
const FILTER_FILE = {
  name: 'filter-file',
  letter: 'F',
  kind: 'string',
  metavar: 'FILE',
  doc: 'read the filter expression from a file; # begins a comment',
} as const
const KIND_NAMES = ['syn', 'udp', 'icmp', 'mix'] as const

export const COMMANDS = [
  {
    name: 'capture',
    usage: 'ringtap capture -i IFACE [options] [EXPR...]',
    summary: 'capture packets: a line a second, a summary at the end',
    doc: [
      "Captures packets, prints a line a second and, at the end, tcpdump's summary. Every packet that the kernel offered is in it: captured, or dropped and where.",
      'The packets go to a handler: without --handler they are counted. With -w they are recorded to a file as well.',
      'With --before nothing is written until a trigger: the last of it all, and what comes for a while, then stand in a file of their own, -w with the time in its name (or strftime(3) for %). SIGUSR1 to the process is a trigger, and so is a packet that matches --trigger.',
      'EXPR is a filter in the language of pcap-filter(7), tested in the kernel: only packets that match are offered. docs/filter.md has it.',
    ],
    takesFilter: true,
    options: [
      {
        name: 'interface',
        letter: 'i',
        kind: 'string',
        metavar: 'IFACE',
        repeats: true,
        api: 'interface',
        group: WHAT,
        doc: 'interface to capture from; may be given several times',
      },
      { ...NETNS, group: WHAT },
      { ...FILTER_FILE, api: 'filter', group: WHAT },
      { name: 'count', letter: 'c', kind: 'integer', api: 'count', group: WHAT, doc: 'end after N packets' },
      { name: 'duration', kind: 'seconds', api: 'durationMs', group: WHAT, doc: 'end after this time' },
      {
        name: 'snap-length',
        letter: 's',
        aliases: ['snapshot-length'],
        kind: 'size',
        libraryDefault: '262144',
        api: 'snapLengthBytes',
        group: WHAT,
        doc: 'bytes kept of each packet; 0 is the default',
      },
      {
        name: 'no-promiscuous-mode',
        letter: 'p',
        aliases: ['no-promiscuous'],
        kind: 'flag',
        api: 'promiscuous',
        group: WHAT,
        doc: 'only what is for this host: do not put the interface into promiscuous mode',
      },
      {
        name: 'direction',
        letter: 'Q',
        kind: 'enum',
        values: ['in', 'out', 'inout'],
        metavar: 'in|out|inout',
        libraryDefault: 'inout; in on a loopback interface',
        api: 'direction',
        group: WHAT,
        doc: 'packets that arrive, that this host sends, or both',
      },
      {
        name: 'backend',
        kind: 'enum',
        values: ['auto', 'ring', 'recv', 'xdp'],
        metavar: 'auto|ring|recv|xdp',
        libraryDefault: 'auto',
        api: 'backend',
        group: HOW,
        doc: 'ring is a TPACKET_V3 ring, recv a socket read in batches, xdp AF_XDP; auto takes ring, with --exclusive xdp where the driver has it',
      },
      {
        name: 'exclusive',
        kind: 'flag',
        api: 'exclusive',
        group: HOW,
        doc: 'nothing else on this host needs the interface: AF_XDP may take its packets away',
      },
      {
        name: 'xdp-mode',
        kind: 'enum',
        values: ['auto', 'zero-copy', 'native', 'generic'],
        metavar: 'auto|zero-copy|native|generic',
        libraryDefault: 'auto',
        api: 'xdpMode',
        group: HOW,
        doc: 'how AF_XDP gets its packets: the NIC writes them, its driver copies them, or the stack does; auto takes the first that goes',
      },
      {
        name: 'chunk',
        kind: 'size',
        libraryDefault: '2K, 4K for a longer MTU',
        api: 'chunkBytes',
        group: HOW,
        doc: "a packet's place in the memory of AF_XDP, 2K or 4K",
      },
      {
        name: 'busy-poll',
        kind: 'integer',
        metavar: 'MICROSECONDS',
        libraryDefault: '0',
        api: 'busyPollUs',
        group: HOW,
        doc: 'AF_XDP only: poll the driver without pause, this long a call, instead of waiting for interrupts',
      },
      {
        name: 'hardware-hints',
        kind: 'flag',
        api: 'hardwareHints',
        group: HOW,
        doc: "AF_XDP only: the NIC's time stamps, and the VLAN tags that it took out of frames, where the driver has them",
      },
      {
        name: 'workers',
        kind: 'workers',
        libraryDefault: '1',
        api: 'workers',
        group: HOW,
        doc: 'threads an interface, each with its own ring; auto is one a CPU; with xdp one a receive queue, which is the default there',
      },
      {
        name: 'fanout',
        kind: 'fanout',
        metavar: 'MODE[,FLAG]',
        libraryDefault: 'cpu',
        api: 'fanout',
        group: HOW,
        doc: 'how packets are spread over workers: cpu, hash, lb, qm, rnd, rollover, cbpf or ebpf; flags defrag, rollover, ignore-outgoing',
      },
      {
        name: 'fanout-program',
        kind: 'string',
        metavar: 'FILE',
        api: 'fanout.program',
        group: HOW,
        doc: 'for --fanout cbpf: a program as tcpdump -ddd prints it, whose answer is the worker',
      },
      {
        name: 'pin',
        kind: 'pin',
        libraryDefault: 'not pinned',
        api: 'pin',
        group: HOW,
        doc: "CPU of each worker in turn; queues takes the CPU that serves the worker's receive queue",
      },
      {
        name: 'ring',
        kind: 'ring',
        libraryDefault: '64M',
        api: 'ringBytes',
        group: HOW,
        doc: "each worker's ring: a multiple of --block (with xdp a power of two), or what holds TIME of minimum-size packets at RATE",
      },
      { name: 'block', kind: 'size', libraryDefault: '2M', api: 'blockBytes', group: HOW, doc: 'block of the ring, a multiple of the page size' },
      {
        name: 'block-timeout',
        kind: 'duration',
        libraryDefault: '20ms; 1ms with xdp',
        api: 'blockTimeoutMs',
        group: HOW,
        doc: 'how long a block that is not full waits; with xdp how long packets gather',
      },
      {
        name: 'worker-restarts',
        kind: 'integer',
        libraryDefault: '0',
        api: 'workerRestarts',
        group: HOW,
        doc: 'replace so many workers that died, instead of ending',
      },
      {
        name: 'buffer-size',
        letter: 'B',
        kind: 'kibibytes',
        group: HOW,
        doc: "each worker's buffer in the kernel: the ring, rounded up to whole blocks, or with --backend recv the socket's",
      },
      {
        name: 'receive-buffer',
        kind: 'size',
        libraryDefault: '2M',
        api: 'receiveBufferBytes',
        group: HOW,
        doc: "the socket's receive buffer, --backend recv only",
      },
      { name: 'batch', kind: 'integer', libraryDefault: '64', api: 'batch', group: HOW, doc: 'packets a recvmmsg(2) call, --backend recv only' },
      {
        name: 'handler',
        kind: 'string',
        metavar: 'FILE',
        api: 'handler',
        group: HOW,
        doc: 'module whose default export is a handler; its last snapshot is printed',
      },
      { name: 'handler-data', kind: 'json', api: 'handlerData', group: HOW, doc: "given to the handler's open" },
      {
        name: 'write',
        letter: 'w',
        kind: 'string',
        metavar: 'FILE',
        api: 'write.path',
        group: FILE,
        doc: 'record every packet to this file, VLAN tags in place; - is stdout, and a FIFO is waited for until it is read. It appears when it is complete',
      },
      {
        name: 'format',
        kind: 'enum',
        values: ['pcap', 'pcapng'],
        metavar: 'pcap|pcapng',
        libraryDefault: 'pcap for .pcap, .cap and .dmp, before .gz too, else pcapng',
        api: 'write.format',
        group: FILE,
        doc: 'of the file; pcapng also has names, the filter and the drops of interfaces',
      },
      { name: 'per-worker', kind: 'flag', api: 'write.perWorker', group: FILE, doc: 'a file for each worker, its number before the ending' },
      {
        name: 'packet-buffered',
        letter: 'U',
        kind: 'flag',
        api: 'write.unbuffered',
        group: FILE,
        doc: 'write after each block or batch, not when a buffer is full or a tenth of a second has passed',
      },
      {
        name: 'precision',
        aliases: ['time-stamp-precision'],
        kind: 'enum',
        values: ['nano', 'micro', 'ns', 'us'],
        metavar: 'nano|micro',
        libraryDefault: 'nano',
        api: 'write.precision',
        group: FILE,
        doc: 'of the time stamps: nanoseconds, or microseconds for readers that know no others',
      },
      {
        name: 'compression',
        kind: 'enum',
        values: ['gzip', 'zstd', 'none'],
        metavar: 'gzip|zstd|none',
        libraryDefault: 'gzip for .gz, zstd for .zst, else none',
        api: 'write.compression',
        group: FILE,
        doc: 'workers compress what they write: at a high rate not all of it can be kept',
      },
      { name: 'compression-level', kind: 'integer', libraryDefault: '1', api: 'write.compressionLevel', group: FILE, doc: 'gzip 1 to 9, zstd 1 to 19' },
      {
        name: 'rotate-size',
        letter: 'C',
        kind: 'millions',
        api: 'write.rotation.sizeBytes',
        group: FILE,
        doc: 'a file that would become longer is followed by another: FILE, FILE1, FILE2',
      },
      {
        name: 'rotate-time',
        letter: 'G',
        kind: 'seconds',
        min: 1000,
        api: 'write.rotation.seconds',
        group: FILE,
        doc: 'a file that began so long ago is followed by another; % in its name is strftime(3), of the time when it begins',
      },
      {
        name: 'files',
        letter: 'W',
        kind: 'integer',
        api: 'write.rotation.files',
        group: FILE,
        doc: 'with -C a ring of N files, the oldest written over; with -G alone end after N files',
      },
      {
        name: 'keep',
        kind: 'size',
        api: 'write.rotation.keepBytes',
        group: FILE,
        doc: 'with -C or -G: remove the oldest files, so that all together are at most so long',
      },
      {
        name: 'command',
        letter: 'z',
        kind: 'string',
        metavar: 'PROGRAM',
        api: 'write.command',
        group: FILE,
        doc: 'run a program for each finished file, its name the one argument, at the lowest priority',
      },
      {
        name: 'no-guard',
        kind: 'flag',
        api: 'write.guard',
        group: FILE,
        doc: 'without the process that ends the files as they should be when this one is killed (kill -9)',
      },
      {
        name: 'relinquish-privileges',
        letter: 'Z',
        kind: 'string',
        metavar: 'USER',
        api: 'user',
        group: FILE,
        doc: 'become this user when everything is open; files are made, and belong to it, as if it had begun them',
      },
      {
        name: 'before',
        kind: 'seconds',
        api: 'write.beforeMs',
        group: PAST,
        doc: 'keep packets in memory for so long and write nothing until triggered, by SIGUSR1 or --trigger: the file then begins so long before',
      },
      {
        name: 'before-size',
        kind: 'size',
        libraryDefault: '256M',
        api: 'write.beforeSizeBytes',
        group: PAST,
        doc: 'memory for that, all workers together: what does not fit is forgotten sooner',
      },
      { name: 'after', kind: 'seconds', libraryDefault: '10s', api: 'write.afterMs', group: PAST, doc: 'the file ends so long after the trigger' },
      { name: 'trigger', kind: 'string', metavar: 'EXPR', api: 'write.trigger', group: PAST, doc: 'a packet that matches this filter triggers' },
      { name: 'interval', kind: 'seconds', default: '1s', min: 10, group: OUTPUT, doc: 'time between lines' },
      { name: 'verbose', letter: 'v', kind: 'flag', group: OUTPUT, doc: 'a line a worker as well' },
      { name: 'quiet', letter: 'q', kind: 'flag', group: OUTPUT, doc: 'no line a second: the summary only' },
      { ...JSON_LINES },
      { name: 'no-names', letter: 'n', kind: 'flag', group: OUTPUT, doc: 'accepted for the habit of it: addresses are never turned into names' },
      { name: 'line-buffered', letter: 'l', kind: 'flag', group: OUTPUT, doc: 'accepted for the habit of it: every line is written at once' },
      { name: 'list-interfaces', letter: 'D', kind: 'flag', group: OUTPUT, doc: "list the interfaces and end, as 'ringtap interfaces' does" },
    ],
    examples: [
      ['ringtap capture -i eth0', 'packets, bits and drops a second, until Ctrl-C'],
      ["ringtap capture -i eth0 'tcp[tcpflags] & tcp-syn != 0 and dst port 80'", 'only what a filter takes'],
      ['ringtap capture -i eth0 --workers auto --ring 512M', 'a flood: one worker and one ring a core'],
      ['ringtap capture -i eth0 --ring 500ms@2Mpps', 'a ring that survives a stall of half a second'],
      ['ringtap capture -i eth0 --workers auto -w flood.pcapng', 'every packet to a file, at full rate'],
      ['ringtap capture -i eth0 -w trace-%H%M%S.pcap -G 60 --keep 20G -z gzip', 'a file a minute, compressed behind it, of all 20 GiB at most'],
      ["ringtap capture -i eth0 -w - 'tcp port 80' | tshark -r -", 'dissected by someone who can'],
      ["ringtap capture -i eth0 --before 30s --before-size 1G -w incident.pcapng --trigger 'icmp'", 'what came before an event, and after'],
      ['ringtap capture -i eth0 --handler ./top.js --duration 10s --json', 'a handler of your own, for a program to read'],
    ],
  },
  {
    name: 'interfaces',
    usage: 'ringtap interfaces [options]',
    summary: 'list interfaces: state, addresses, driver, speed, queues',
    doc: ['Lists the interfaces of a network namespace. A value that the kernel does not know is shown as -.'],
    options: [
      { ...NETNS, group: WHAT },
      { name: 'json', kind: 'flag', group: OUTPUT, doc: 'one JSON document instead of a table' },
    ],
    examples: [
      ['ringtap interfaces', 'the interfaces of this host; also ringtap -D'],
      ['ringtap interfaces --netns blue --json', 'those of a network namespace, for a program to read'],
    ],
  },
  {
    name: 'rate',
    usage: 'ringtap rate -i IFACE [options]',
    summary: "packets and bits a second from the interface's own counters",
    doc: [
      "Prints what the kernel's counters of an interface say, a line a second: what was received and sent, and what the interface dropped. Captures nothing and needs no privilege.",
      'Compare it with ringtap capture: what stands here and not there was lost before any socket saw it.',
    ],
    options: [
      { name: 'interface', letter: 'i', kind: 'string', metavar: 'IFACE', group: WHAT, doc: 'interface' },
      { ...NETNS, group: WHAT },
      { name: 'interval', kind: 'seconds', default: '1s', min: 10, group: OUTPUT, doc: 'time between lines' },
      { name: 'count', letter: 'c', kind: 'integer', min: 1, group: OUTPUT, doc: 'end after N lines' },
      { name: 'duration', kind: 'seconds', min: 1, group: OUTPUT, doc: 'end after this time' },
      { ...JSON_LINES },
    ],
    examples: [
      ['ringtap rate -i eth0', 'a line a second, until Ctrl-C'],
      ['ringtap rate -i eth0 --interval 100ms -c 50 --json', 'fifty fine-grained values, for a program to read'],
    ],
  },
  {
    name: 'count',
    usage: 'ringtap count -i IFACE [options]',
    summary: 'count packets in the kernel by protocol, at rates that no capture keeps up with',
    doc: [
      'Counts packets and bytes by protocol, on each CPU, with an XDP program: no packet is copied, and all go on as they would. A line a second, a table at the end; every packet that the program has seen is in it. Ctrl-C, or whatever else ends the process, takes the program off.',
      'Classes: tcpSyn (SYN without ACK), tcp (all other), udp, icmp, fragment (the first one, too), ipv4 and ipv6 (all other IP, and IP that cannot be read), arp, other. TCP, UDP and ICMPv6 over IPv6 count as tcpSyn, tcp, udp and icmp, unless other extension headers come first: that is ipv6. Up to two VLAN tags are passed over.',
      'Only what arrives is seen, not what this host sends.',
    ],
    options: [
      {
        name: 'interface',
        letter: 'i',
        kind: 'string',
        metavar: 'IFACE',
        repeats: true,
        api: 'interface',
        group: 'What to count',
        doc: 'interface to count on; may be given several times',
      },
      { ...NETNS, group: 'What to count' },
      { name: 'duration', kind: 'seconds', min: 1, group: 'What to count', doc: 'end after this time' },
      {
        name: 'no-promiscuous-mode',
        letter: 'p',
        aliases: ['no-promiscuous'],
        kind: 'flag',
        api: 'promiscuous',
        group: 'What to count',
        doc: 'only what is for this host: do not put the interface into promiscuous mode',
      },
      {
        name: 'drop',
        kind: 'flag',
        api: 'drop',
        group: HOW,
        doc: 'drop every packet when it has been counted; on an interface that is no veth --exclusive as well',
      },
      { name: 'exclusive', kind: 'flag', api: 'exclusive', group: HOW, doc: 'nothing else on this host needs the interface' },
      {
        name: 'xdp-mode',
        kind: 'enum',
        values: ['auto', 'native', 'generic'],
        metavar: 'auto|native|generic',
        libraryDefault: 'auto',
        api: 'xdpMode',
        group: HOW,
        doc: 'where the program runs: in the driver, or in the stack, where packets that the driver has merged (GRO) count as one; auto takes the first that goes',
      },
      { name: 'interval', kind: 'seconds', default: '1s', min: 10, group: OUTPUT, doc: 'time between lines' },
      { name: 'count', letter: 'c', kind: 'integer', min: 1, group: OUTPUT, doc: 'end after N lines' },
      { name: 'verbose', letter: 'v', kind: 'flag', group: OUTPUT, doc: 'a line a CPU as well, and with several interfaces one each' },
      { name: 'quiet', letter: 'q', kind: 'flag', group: OUTPUT, doc: 'no line a second: the totals only' },
      { ...JSON_LINES },
    ],
    examples: [
      ['ringtap count -i eth0', 'packets a second by protocol, until Ctrl-C'],
      ['ringtap count -i veth0 --drop --duration 10s --json', 'the most that this machine can take, for a program to read'],
    ],
  },
  {
    name: 'filter',
    usage: 'ringtap filter [options] EXPR...',
    summary: 'compile a filter expression and print its program, as tcpdump -d does',
    doc: [
      'Compiles an expression of pcap-filter(7) and prints the program: without an option as tcpdump -d does. Nothing is captured, and no privilege is needed.',
      'Put an expression with parentheses, <, > or & between quotes. docs/filter.md has the language, and where it differs from libpcap on purpose.',
    ],
    takesFilter: true,
    options: [
      { ...FILTER_FILE, group: 'What to compile' },
      {
        name: 'link-type',
        letter: 'y',
        aliases: ['linktype'],
        kind: 'string',
        metavar: 'LINKTYPE',
        libraryDefault: 'EN10MB',
        api: 'linkType',
        group: 'What to compile',
        doc: 'what the packets begin with: EN10MB (Ethernet), RAW, LINUX_SLL, LINUX_SLL2, NULL, LOOP, IPV4 or IPV6',
      },
      {
        name: 'snap-length',
        letter: 's',
        aliases: ['snapshot-length'],
        kind: 'size',
        libraryDefault: '262144',
        api: 'snapLengthBytes',
        group: 'What to compile',
        doc: 'what the program answers for a packet that it accepts; 0 is the default',
      },
      { name: 'dump', letter: 'd', kind: 'flag', repeats: true, group: OUTPUT, doc: 'the program to be read; -dd as rows of C, -ddd as decimal numbers' },
      { name: 'ebpf', kind: 'flag', group: OUTPUT, doc: 'the XDP program of a capture with this filter' },
      { name: 'explain', kind: 'flag', group: OUTPUT, doc: 'what the expression takes, in plain words' },
      { name: 'json', kind: 'flag', group: OUTPUT, doc: 'one JSON document instead, with all of it' },
    ],
    examples: [
      ["ringtap filter 'tcp[tcpflags] & tcp-syn != 0 and dst port 80'", 'the program, an instruction a line'],
      ['ringtap filter -ddd udp port 53', 'the same as numbers, for iptables -m bpf and others'],
      ['ringtap filter --explain vlan 5 and not arp', 'what it takes'],
    ],
  },
  {
    name: 'flood',
    usage: 'ringtap flood -i VETH [options]',
    summary: 'make a flood on a veth interface, in the kernel',
    doc: [
      'Sends packets out of a veth interface, at millions a second, from random source addresses and ports with valid checksums: an XDP program makes them, so that the receiver is the limit and not the sender. For testbeds only: it refuses any interface that is not a veth.',
      'Needs root. The other end of the pair must take XDP frames: ethtool -K OTHER-END gro on.',
    ],
    options: [
      { name: 'interface', letter: 'i', kind: 'string', metavar: 'VETH', group: 'What to send', doc: 'veth interface to send from' },
      { ...NETNS, group: 'What to send' },
      {
        name: 'kind',
        kind: 'enum',
        values: KIND_NAMES,
        metavar: KIND_NAMES.join('|'),
        default: 'syn',
        group: 'What to send',
        doc: 'TCP SYNs, UDP datagrams, ICMP echo requests, or all of them',
      },
      { name: 'size', kind: 'size', metavar: 'BYTES', default: '60', api: 'frameBytes', group: 'What to send', doc: 'length of a frame without its FCS' },
      {
        name: 'sources',
        kind: 'integer',
        libraryDefault: '16777216',
        api: 'sources',
        group: 'What to send',
        doc: 'how many source addresses, taken at random from 10.0.0.0 upwards',
      },
      { name: 'rate', kind: 'rate-or-max', default: 'max', api: 'ratePps', group: 'How much', doc: 'packets a second, all senders together' },
      { name: 'count', letter: 'c', kind: 'integer', api: 'count', group: 'How much', doc: 'end after exactly N packets' },
      { name: 'duration', kind: 'seconds', api: 'durationMs', group: 'How much', doc: 'end after this time' },
      { name: 'cpus', kind: 'cpus', libraryDefault: 'all', api: 'cpus', group: 'How much', doc: 'one sender on each of these CPUs' },
      { name: 'quiet', letter: 'q', kind: 'flag', group: OUTPUT, doc: 'no line a second: the totals only' },
      { ...JSON_LINES },
    ],
    examples: [
      ['ringtap flood -i veth0', 'SYNs as fast as the kernel can, until Ctrl-C'],
      ['ringtap flood -i veth0 --kind mix --rate 1Mpps --count 10M', 'exactly ten million packets at a million a second'],
    ],
  },
  {
    name: 'read',
    usage: 'ringtap read FILE... [options] [--] [EXPR...]',
    summary: 'print, count, describe, filter, merge, cut, split and convert capture files',
    doc: [
      'Reads capture files, pcap and pcapng, plain or compressed by gzip or zstd, and prints a line a packet, as tcpdump -n -r does. - is standard input. Several files are merged in order of time while they are read; each must be in order itself. What a packet carries above TCP and UDP is not taken apart: tshark does that.',
      'The first word is a file, and so is each one after it that there is a file of that name for; the rest is a filter in the language of pcap-filter(7). With -r FILE all words are the filter, and so are those behind --. docs/filter.md has the language.',
      'With -w the packets go to another file, or a series of files, in the format that its name says: interfaces, comments, names, statistics and other blocks of pcapng are taken along where the target has a place for them, and no time is made less exact.',
      'Of a damaged file everything before the damage is printed or written; then an error says at which byte it is and why, and the status is 1.',
    ],
    takesFilter: true,
    takesFile: true,
    options: [
      { name: 'read', letter: 'r', kind: 'string', metavar: 'FILE', repeats: true, group: WHAT_TO_READ, doc: 'a file to read; may be given several times' },
      { name: 'append', aliases: ['no-merge'], kind: 'flag', group: WHAT_TO_READ, doc: 'one file after the other, instead of in order of time' },
      { ...FILTER_FILE, api: 'filter', group: WHAT_TO_READ },
      { name: 'limit', letter: 'c', kind: 'integer', min: 1, group: WHAT_TO_READ, doc: 'end after N packets' },
      { name: 'from', kind: 'instant', api: 'from', group: WHAT_TO_READ, doc: 'packets of this time and later' },
      { name: 'until', kind: 'instant', api: 'until', group: WHAT_TO_READ, doc: 'packets before this time' },
      {
        name: 'snap-length',
        letter: 's',
        aliases: ['snapshot-length'],
        kind: 'size',
        api: 'snapLengthBytes',
        group: WHAT_TO_READ,
        doc: 'cut packets to so many bytes; 0 leaves them as they are',
      },
      {
        name: 'tolerant',
        kind: 'flag',
        api: 'tolerant',
        group: WHAT_TO_READ,
        doc: 'go on behind damage where the format allows, and say how much was passed over',
      },
      { name: 'link', letter: 'e', kind: 'flag', group: HOW_TO_PRINT, doc: 'the link-layer header as well' },
      { name: 'verbose', letter: 'v', kind: 'flag', repeats: true, group: HOW_TO_PRINT, doc: 'more of each packet; -vv more still' },
      { name: 'quiet', letter: 'q', kind: 'flag', group: HOW_TO_PRINT, doc: 'less of each packet; with -w no summary' },
      {
        name: 'timestamps',
        letter: 't',
        kind: 'flag',
        repeats: true,
        group: HOW_TO_PRINT,
        doc: '-t no time, -tt seconds since 1970, -ttt since the packet before, -tttt date and time, -ttttt since the first packet',
      },
      { name: 'hex', letter: 'x', kind: 'flag', repeats: true, group: HOW_TO_PRINT, doc: 'the bytes in hexadecimal; -xx with the link-layer header' },
      {
        name: 'hex-ascii',
        letter: 'X',
        kind: 'flag',
        repeats: true,
        group: HOW_TO_PRINT,
        doc: 'the same, and as characters beside it; -XX with the link-layer header',
      },
      { name: 'ascii', letter: 'A', kind: 'flag', repeats: true, group: HOW_TO_PRINT, doc: 'the bytes as characters; -AA with the link-layer header' },
      { name: 'number', letter: '#', kind: 'flag', group: HOW_TO_PRINT, doc: 'the number of each packet before it' },
      { name: 'nano', kind: 'flag', group: HOW_TO_PRINT, doc: 'nine places of a second; with -w nanoseconds in the file' },
      { name: 'micro', kind: 'flag', group: HOW_TO_PRINT, doc: 'six places, which is the default; with -w microseconds in the file' },
      {
        name: 'precision',
        aliases: ['time-stamp-precision'],
        kind: 'enum',
        values: ['nano', 'micro', 'ns', 'us'],
        metavar: 'nano|micro',
        group: HOW_TO_PRINT,
        doc: 'the same as --nano and --micro',
      },
      {
        name: 'line-buffered',
        letter: 'l',
        kind: 'flag',
        group: HOW_TO_PRINT,
        doc: 'write after each packet, not when there is enough or nothing more to read',
      },
      { name: 'no-names', letter: 'n', kind: 'flag', group: HOW_TO_PRINT, doc: 'accepted for the habit of it: addresses are never turned into names' },
      {
        name: 'absolute-tcp-sequence-numbers',
        letter: 'S',
        kind: 'flag',
        group: HOW_TO_PRINT,
        doc: 'accepted for the habit of it: sequence numbers are always absolute',
      },
      { name: 'count', kind: 'flag', group: INSTEAD, doc: 'only how many packets there are' },
      { name: 'info', kind: 'flag', group: INSTEAD, doc: 'what is in each file, as capinfos tells: times, rates, lengths, interfaces, statistics, comments' },
      { name: 'sha256', kind: 'flag', group: INSTEAD, doc: 'with --info: the hash of the file as well' },
      { name: 'json', kind: 'flag', group: INSTEAD, doc: 'a JSON document a packet; of --count, --info and -w one about it' },
      {
        name: 'write',
        letter: 'w',
        kind: 'string',
        metavar: 'FILE',
        group: FILE,
        doc: 'write the packets to this file, - is stdout; one that is there is replaced when the new one is complete',
      },
      {
        name: 'format',
        kind: 'enum',
        values: ['pcap', 'pcapng'],
        metavar: 'pcap|pcapng',
        libraryDefault: 'pcap for .pcap, .cap and .dmp, before .gz too, else pcapng',
        api: 'format',
        group: FILE,
        doc: 'of the file; pcapng has a place for all that files say',
      },
      {
        name: 'compression',
        kind: 'enum',
        values: ['gzip', 'zstd', 'none'],
        metavar: 'gzip|zstd|none',
        libraryDefault: 'gzip for .gz, zstd for .zst, else none',
        api: 'compression',
        group: FILE,
        doc: 'of the file',
      },
      { name: 'compression-level', kind: 'integer', libraryDefault: '1', api: 'compressionLevel', group: FILE, doc: 'gzip 1 to 9, zstd 1 to 19' },
      {
        name: 'rotate-size',
        letter: 'C',
        kind: 'millions',
        api: 'sizeBytes',
        group: FILE,
        doc: 'a file that is longer is followed by another: FILE, FILE1, FILE2',
      },
      {
        name: 'rotate-time',
        letter: 'G',
        kind: 'seconds',
        min: 1000,
        group: FILE,
        doc: 'a file that began so long ago is followed by another, by the times of the packets; % in its name is strftime(3)',
      },
      {
        name: 'files',
        letter: 'W',
        kind: 'integer',
        group: FILE,
        doc: 'with -C a ring of N files, the oldest written over; with -G alone end after N files',
      },
      { name: 'keep', kind: 'size', api: 'keepBytes', group: FILE, doc: 'with -C or -G: remove the oldest files, so that all together are at most so long' },
      {
        name: 'command',
        letter: 'z',
        kind: 'string',
        metavar: 'PROGRAM',
        api: 'command',
        group: FILE,
        doc: 'run a program for each finished file, its name the one argument, at the lowest priority',
      },
      { name: 'packet-buffered', letter: 'U', kind: 'flag', api: 'unbuffered', group: FILE, doc: 'write after each packet' },
    ],
    examples: [
      ['ringtap read trace.pcap', 'a line a packet'],
      ['ringtap read trace.pcapng.gz -e -XX -c 10 tcp port 80', 'ten packets of a filter, with all their bytes'],
      ['ringtap read --info trace.pcap', 'what is in it'],
      ['ringtap read a.pcap b.pcap c.pcap -w all.pcapng', 'three files as one, in order of time'],
      ["ringtap read day.pcap --from '2026-11-20 15:00' --until '2026-11-20 15:05' -w five-minutes.pcap", 'a part of a file'],
      ['ringtap read big.pcap -s 96 -C 100 -w part.pcap', 'headers only, in files of 100 MB'],
      ['ringtap read trace.pcap --json udp port 53 | jq .source', 'for a program to read'],
    ],
  },
  {
    name: 'replay',
    usage: 'ringtap replay FILE -i IFACE [options] [filter words]',
    summary: 'send the packets of a capture file out of an interface, as they came or at a rate',
    doc: [
      'Sends the packets of FILE, pcap or pcapng, plain or compressed, - being standard input, or those of them that match the filter, in order, each as long after the one before as when they were captured: or so many times faster, at a rate, or as fast as they go. What is late is made good, up to 50 ms of it. A line a second, a summary at the end: every packet of the file was sent, or refused by name.',
      'Refused are packets longer than the MTU allows (tooLong), shorter than an Ethernet header (tooShort), of another link than Ethernet (linkType), those whose time came while the interface was down or had no carrier (down), and those that it had no room for, for a second (noRoom). A packet that was cut when it was captured is sent as it is, unless --skip-truncated is given.',
      'What is sent is seen by whoever is on that network, with all the addresses that are in the file: any interface but a veth, netkit, dummy, tun, tap, ifb or loopback one, and any with a default route, wants --yes-this-network. Needs CAP_NET_RAW.',
    ],
    takesFile: true,
    options: [
      { name: 'interface', letter: 'i', kind: 'string', metavar: 'IFACE', api: 'interface', group: 'Where to', doc: 'interface to send from' },
      { ...NETNS, group: 'Where to' },
      {
        name: 'yes-this-network',
        kind: 'flag',
        api: 'yesThisNetwork',
        group: 'Where to',
        doc: 'the packets are meant to reach the network that this interface leads to',
      },
      {
        name: 'rate',
        kind: 'sending-rate',
        libraryDefault: 'as captured',
        group: 'When',
        doc: 'packets or bits a second, evenly; bits are those of frames without FCS, preamble and gap',
      },
      { name: 'multiplier', kind: 'factor', api: 'multiplier', group: 'When', doc: 'so many times as fast as captured' },
      { name: 'top-speed', kind: 'flag', api: 'timing', group: 'When', doc: 'as fast as they go' },
      { name: 'loop', kind: 'integer', default: '1', api: 'loop', group: 'How much', doc: 'how often the file is sent; 0 is until Ctrl-C' },
      { name: 'limit', kind: 'integer', api: 'limit', group: 'How much', doc: 'end after N packets of the file, sent or refused, over all rounds' },
      { name: 'skip-truncated', kind: 'flag', api: 'truncated', group: 'How much', doc: 'refuse packets that were cut when they were captured' },
      {
        name: 'backend',
        kind: 'enum',
        values: ['ring', 'recv', 'xdp'],
        metavar: 'ring|recv|xdp',
        libraryDefault: 'ring',
        api: 'backend',
        group: HOW,
        doc: 'ring is a PACKET_TX_RING, recv a plain socket with sendmmsg(2), xdp the TX ring of an AF_XDP socket',
      },
      {
        name: 'no-qdisc-bypass',
        kind: 'flag',
        api: 'qdiscBypass',
        group: HOW,
        doc: 'through the queueing discipline of the interface (tc), which may delay and drop; not with xdp',
      },
      { name: 'frames', kind: 'integer', libraryDefault: '1024', api: 'frames', group: HOW, doc: 'frames of the ring, a power of two' },
      { name: 'quiet', letter: 'q', kind: 'flag', group: OUTPUT, doc: 'no line a second: the summary only' },
      { ...JSON_LINES },
    ],
    examples: [
      ['ringtap replay attack.pcap -i veth0', 'as it was captured'],
      ["ringtap replay trace.pcapng.gz -i veth0 --multiplier 10 'udp port 53'", 'a part of it, ten times as fast'],
      ['ringtap replay attack.pcap -i veth0 --rate 100kpps --loop 10', 'ten times, at a hundred thousand packets a second'],
      ['ringtap replay attack.pcap -i eth1 --top-speed --yes-this-network', 'as fast as the machine can, onto a real network'],
    ],
  },
  {
    name: 'bench',
    usage: 'ringtap bench [options]',
    summary: 'the ladder: every way to capture, under a flood, on this machine',
    doc: [
      'Makes two network namespaces and a veth pair, floods it from the kernel, and runs every rung of the ladder on it: offered, received, dropped and unaccounted packets a second, load of each core, and CPU time a packet. Everything that it made is gone afterwards. Needs root.',
      'With --reference each rung runs alternately with its twin in C, and the ratio is printed.',
    ],
    options: [
      { name: 'seconds', kind: 'seconds', default: '5s', min: 100, group: 'What to run', doc: 'measured time of each run' },
      { name: 'warmup', kind: 'seconds', default: '1s', min: 0, group: 'What to run', doc: 'time before that' },
      {
        name: 'rungs',
        kind: 'words',
        default: 'recv,recv+fanout,ring,ring+fanout,xdp,xdp generic,kernel count',
        group: 'What to run',
        doc: 'which rungs',
      },
      { name: 'workers', kind: 'workers', default: 'auto', group: 'What to run', doc: 'workers of the rungs with fanout; auto is one a CPU' },
      { name: 'reference', kind: 'flag', group: 'What to run', doc: 'run the C twin of each rung as well; needs cc' },
      { name: 'alternations', kind: 'integer', default: '7', min: 1, max: 1000, group: 'What to run', doc: 'with --reference: how often the two take turns' },
      { name: 'profile', kind: 'flag', group: 'What to run', doc: 'top kernel symbols of each rung; needs perf' },
      {
        name: 'kind',
        kind: 'enum',
        values: KIND_NAMES,
        metavar: KIND_NAMES.join('|'),
        default: 'syn',
        group: 'The flood',
        doc: 'TCP SYNs, UDP datagrams, ICMP echo requests, or all of them',
      },
      { name: 'frame-size', kind: 'size', metavar: 'BYTES', default: '60', api: 'frameBytes', group: 'The flood', doc: 'length of a frame without its FCS' },
      { name: 'report', kind: 'string', metavar: 'FILE', group: OUTPUT, doc: 'write a page with charts (HTML) as well' },
      { name: 'json', kind: 'flag', group: OUTPUT, doc: 'one JSON document instead of a table' },
    ],
    examples: [
      ['ringtap bench', 'the ladder in about a minute'],
      ['ringtap bench --reference --profile --report ladder.html', 'all that can be known, on one page'],
    ],
  },
] as const satisfies readonly CommandRow[]

export type CommandName = (typeof COMMANDS)[number]['name']

type CamelCase<S extends string> = S extends `${infer Head}-${infer Tail}` ? `${Head}${Capitalize<CamelCase<Tail>>}` : S
type OptionsOf<C extends CommandName> = Extract<(typeof COMMANDS)[number], { name: C }>['options'][number]
type ValueOf<O> = O extends { kind: 'flag'; repeats: true }
  ? number
  : O extends { kind: 'flag' }
    ? boolean
    : O extends { kind: 'enum'; values: readonly (infer V)[] }
      ? V
      : O extends { kind: infer K extends KindName; repeats: true }
        ? KindValue<K>[]
        : O extends { kind: infer K extends KindName }
          ? KindValue<K>
          : never

/** What the parser gives a command: options by name in camelCase. Those with a default and flags are always there; the rest only when given. */
export type ValuesOf<C extends CommandName> = {
  [O in OptionsOf<C> as O extends { default: string } | { kind: 'flag' } ? CamelCase<O['name']> : never]: ValueOf<O>
} & {
  [O in OptionsOf<C> as O extends { default: string } | { kind: 'flag' } ? never : CamelCase<O['name']>]?: ValueOf<O>
}

export function findCommand(name: string): CommandRow | undefined {
  return COMMANDS.find((row) => row.name === name)
}

/** tcpdump's letters that come later, with what they do: a user of tcpdump is told so instead of being offered a typing error. */
export const TCPDUMP_LETTERS_TO_COME: Readonly<Record<string, string>> = {
  e: 'print link-layer headers',
  x: 'print packets in hexadecimal',
  X: 'print packets in hexadecimal and ASCII',
  A: 'print packets in ASCII',
  t: 'choose how time is printed',
}
