/** `ringtap doctor`. */
import { type CommandRow, NETNS, OUTPUT, WHAT } from './row.js'

export const DOCTOR = {
  name: 'doctor',
  usage: 'ringtap doctor [options]',
  summary: 'what keeps this host from capturing at line rate, and the command that mends it',
  doc: [
    'Looks at privileges, at what the kernel lets this process do (by trying it, with sockets and programs that are closed at once), at limits of containers, at the CPUs, and at interfaces: queues, interrupts, offloads, rings. Each finding says what it is, what it costs a capture, and what mends it. Nothing is changed.',
    'Without root it tells what it can, and names what it could not read.',
    'The exit status says whether capture at line rate is possible: 0 yes, 1 something limits it, 3 there is no capture at all. It is 2 when nothing was examined: no such interface or namespace, a namespace that may not be entered, an option that does not exist.',
  ],
  failureStatus: 2,
  options: [
    {
      name: 'interface',
      letter: 'i',
      kind: 'string',
      metavar: 'IFACE',
      repeats: true,
      libraryDefault: 'those of hardware that are up',
      group: WHAT,
      doc: 'an interface to look at; may be given several times',
    },
    { ...NETNS, group: WHAT },
    { name: 'verbose', letter: 'v', kind: 'flag', group: OUTPUT, doc: 'what is right as well' },
    { name: 'json', kind: 'flag', group: OUTPUT, doc: 'one JSON document instead of text' },
  ],
  examples: [
    ['ringtap doctor', 'this host and its network cards'],
    ['ringtap doctor -i eth1 -v', 'one interface, with all that was looked at'],
  ],
} as const satisfies CommandRow
