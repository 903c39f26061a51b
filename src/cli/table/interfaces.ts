/** `ringtap interfaces`. */
import { type CommandRow, NETNS, OUTPUT, WHAT } from './row.js'

export const INTERFACES = {
  name: 'interfaces',
  usage: 'ringtap interfaces [options]',
  summary: 'list interfaces: state, addresses, driver, speed, queues',
  doc: [
    'Lists the interfaces of a network namespace. A value that the kernel does not know is shown as -.',
    'With -v all that decides how fast an interface can be captured from, and needs no privilege: what could not be read stands at the end, with the reason.',
  ],
  options: [
    {
      name: 'interface',
      letter: 'i',
      kind: 'string',
      metavar: 'IFACE',
      repeats: true,
      group: WHAT,
      doc: 'this interface only; may be given several times',
    },
    { ...NETNS, group: WHAT },
    { name: 'verbose', letter: 'v', kind: 'flag', group: OUTPUT, doc: 'all that is known of each: driver, queues, RSS, offloads, interrupts, XDP' },
    { name: 'json', kind: 'flag', group: OUTPUT, doc: 'one JSON document instead of text' },
  ],
  examples: [
    ['ringtap interfaces', 'the interfaces of this host; also ringtap -D'],
    ['ringtap interfaces -v -i eth0', 'what decides how fast packets can be taken from eth0'],
    ['ringtap interfaces --netns blue --json', 'those of a network namespace, for a program to read'],
  ],
} as const satisfies CommandRow
