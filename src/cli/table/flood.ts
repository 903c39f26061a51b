/** `ringtap flood`. */
import { type CommandRow, JSON_LINES, KIND_NAMES, NETNS, OUTPUT } from './row.js'

export const FLOOD = {
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
} as const satisfies CommandRow
