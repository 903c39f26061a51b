/** `ringtap count`. */
import { type CommandRow, HOW, JSON_LINES, MAX_TIMER_MS, NETNS, OUTPUT } from './row.js'

export const COUNT = {
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
    { name: 'duration', kind: 'seconds', min: 1, max: MAX_TIMER_MS, group: 'What to count', doc: 'end after this time' },
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
    { name: 'interval', kind: 'seconds', default: '1s', min: 10, max: MAX_TIMER_MS, group: OUTPUT, doc: 'time between lines' },
    { name: 'count', letter: 'c', kind: 'integer', min: 1, group: OUTPUT, doc: 'end after N lines' },
    { name: 'verbose', letter: 'v', kind: 'flag', group: OUTPUT, doc: 'a line a CPU as well, and with several interfaces one each' },
    { name: 'quiet', letter: 'q', kind: 'flag', group: OUTPUT, doc: 'no line a second: the totals only' },
    { ...JSON_LINES },
  ],
  examples: [
    ['ringtap count -i eth0', 'packets a second by protocol, until Ctrl-C'],
    ['ringtap count -i veth0 --drop --duration 10s --json', 'the most that this machine can take, for a program to read'],
  ],
} as const satisfies CommandRow
