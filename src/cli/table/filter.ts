/** `ringtap filter`. */
import { type CommandRow, FILTER_FILE, OUTPUT } from './row.js'

export const FILTER = {
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
} as const satisfies CommandRow
