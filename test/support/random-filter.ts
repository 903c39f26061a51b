/** Random filter expressions over the grammar of pcap-filter(7). Most compile, and many hit the packets of link-packets.ts. */
import type { Random } from './random.js'

const HOSTS = '10.0.0.1 10.0.0.2 192.168.1.7 127.0.0.1 1.3 10.0 255.255.255.255 0.0.0.0 2001:db8::1 2001:db8::2 fe80::1 ff02::16 localhost'.split(' ')
const NETS = [
  ...'10.0.0.0/8 10 10.0.0 192.168.1 127 0.0.0.0/0 10.0.0.0/31 172.16.0.0/12 2001:db8::/32 2001:db8:1::/48 ::/0 2001:db8::1/128 fe80::/10'.split(' '),
  '192.168.0.0 mask 255.255.0.0',
]
const PORTS = '80 443 22 53 1024 5353 6081 65535 0 http domain ssh'.split(' ')
const RANGES = '0-1023 79-81 80-80 6000-6010 1024-80 5000-60000 ssh-http'.split(' ')
const MACS = '02:00:5e:10:00:01 02005e100002 0200.5e10.0001 2-0-5e-10-0-2 ff:ff:ff:ff:ff:ff 1.80.c2.0.0.14'.split(' ')
const DIRECTIONS = ['', '', 'src ', 'dst ', 'src or dst ', 'src and dst ', 'dst or src ']
const ALONE =
  'ip ip6 arp rarp tcp udp sctp icmp icmp6 igmp igrp pim vrrp carp ah esp atalk aarp decnet lat sca moprc mopdl iso esis isis clnp l1 l2 iih lsp snp csnp psnp stp ipx netbeui'.split(
    ' ',
  )
const INDEXED = 'ether ip ip6 arp rarp tcp udp sctp icmp icmp6 igmp pim vrrp decnet atalk link'.split(' ')
const NUMBERS = '0 1 2 3 4 5 6 8 14 17 20 40 53 54 80 255 256 1500 0x800 0x86dd 65535 0xffffffff'.split(' ')
const SPECIAL = [
  ...'broadcast,multicast,ether multicast,ip broadcast,ip multicast,ip6 multicast,inbound,outbound,ifindex 2'.split(','),
  ...'less 60,greater 60,less 54,byte 12 = 8,byte 0 > 1,byte 13 < 6,len > 70,len <= 60'.split(','),
  ...'llc,llc i,llc s,llc u,llc rnr,llc ui,llc sabme,pppoed'.split(','),
]
const ENCAPSULATED = 'vlan,vlan 5,vlan 100,mpls,mpls 1024,pppoes,pppoes 0x27,geneve,geneve 0xb'.split(',')
const BINARY = ['+', '-', '*', '/', '%', '&', '&', '|', '^']

export function randomFilter(random: Random, depth = 2): string {
  const { pick, oneIn } = random
  const negated = () => (oneIn(5) ? 'not ' : '')
  let text = negated() + primitive(random, depth)
  while (oneIn(2)) text += `${pick([' and ', ' or '])}${negated()}${oneIn(9) ? pick([...HOSTS, ...PORTS]) : primitive(random, depth)}`
  return text
}

function primitive(random: Random, depth: number): string {
  const { pick, between } = random
  const direction = pick(DIRECTIONS)
  switch (between(0, 15)) {
    case 0:
    case 1:
      return `${pick(['', '', 'ip ', 'ip6 ', 'arp ', 'rarp '])}${direction}host ${pick(HOSTS)}`
    case 2:
    case 3:
      return `${pick(['', '', 'ip ', 'ip6 ', 'arp '])}${direction}net ${pick(NETS)}`
    case 4:
    case 5:
      return `${pick(['', 'tcp ', 'udp ', 'sctp '])}${direction}port ${pick(PORTS)}`
    case 6:
      return `${pick(['', 'tcp ', 'udp '])}${direction}portrange ${pick(RANGES)}`
    case 7:
    case 8:
      return pick(ALONE)
    case 9:
      return `${pick(['', 'ip ', 'ip6 '])}proto ${pick(['6', '17', '\\tcp', '\\udp', '1', '44', '58', '(6 or 132)'])}`
    case 10:
      return `ether proto ${pick(['0x800', '0x806', '\\ip', '\\arp', '0x42', '\\stp', '\\ipx', '\\atalk', '\\iso', '6', '0x88cc', '1500', '1501'])}`
    case 11:
      return `ether ${direction}host ${pick(MACS)}`
    case 12:
      return pick(SPECIAL)
    case 13:
      return pick(ENCAPSULATED)
    case 14:
      return `${arithmetic(random, 2)} ${pick(['=', '!=', '>', '<', '>=', '<='])} ${random.oneIn(3) ? arithmetic(random, 2) : pick(NUMBERS)}`
    default:
      return depth > 0 ? `(${randomFilter(random, depth - 1)})` : 'tcp'
  }
}

function arithmetic(random: Random, depth: number): string {
  const { pick, between, oneIn } = random
  switch (depth === 0 ? between(0, 4) : between(0, 9)) {
    case 0:
      return pick([...NUMBERS, 'len', 'tcpflags', 'tcp-syn', 'icmptype', 'icmp-echo'])
    case 1:
    case 2:
    case 3:
    case 4:
      return `${pick(INDEXED)}[${depth > 0 && oneIn(4) ? arithmetic(random, depth - 1) : between(0, 30)}${pick(['', ':1', ':2', ':4'])}]`
    case 5:
      return `(${arithmetic(random, depth - 1)})`
    case 6:
      return `-${arithmetic(random, depth - 1)}`
    case 7:
      return `${arithmetic(random, depth - 1)} ${pick(['<<', '>>'])} ${oneIn(3) ? arithmetic(random, 0) : between(0, 31)}`
    default:
      return `${arithmetic(random, depth - 1)} ${pick(BINARY)} ${arithmetic(random, depth - 1)}`
  }
}

/**
 * Where libpcap reads scratch memory that it did not write, or the wrong ancillary data; and shifts by what is computed (`%` and `^`
 * take all to their right), which are modulo 32 in Linux and not in libpcap.
 */
export const UNCOMPARED: readonly RegExp[] = [/geneve.* or |not .*geneve/, /(pppoes|geneve).*(bound|ifindex)/, /(<<|>>).*[%^]/]
