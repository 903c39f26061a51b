/** `ringtap replay`. */
import { type CommandRow, HOW, JSON_LINES, NETNS, OUTPUT } from './row.js'

export const REPLAY = {
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
} as const satisfies CommandRow
