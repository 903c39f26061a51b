/** `ringtap interfaces`. */
import { type CommandRow, NETNS, OUTPUT, WHAT } from './row.js'

export const INTERFACES = {
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
} as const satisfies CommandRow
