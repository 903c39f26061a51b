/** `ringtap tune`. */
import { type CommandRow, NETNS, OUTPUT } from './row.js'

const WHAT_TO_TUNE = 'What to tune'

export const TUNE = {
  name: 'tune',
  usage: 'ringtap tune show|plan|apply|revert -i IFACE [options]',
  summary: "set an interface's queues, interrupts and offloads for a capture, and put them back",
  doc: [
    'Before a packet reaches any capture it has come through a queue of the NIC, an interrupt and a core. tune spreads them: one queue a physical core ' +
      "of the NIC's NUMA node, each interrupt to a core of its own, RSS that keeps both directions of a flow together and looks at ports, the largest receive ring, no " +
      'offload that makes one packet of several, and where there is a single queue RPS to spread what comes from it.',
    'plan changes nothing: it prints each step with its old and new value, why, and what a person would type instead. apply writes down what was before, ' +
      'carries the steps out, reads each back, and undoes all of them when one fails. revert puts everything back, also after a crash in the middle of ' +
      'apply. Nothing survives a reboot.',
  ],
  actions: [
    ['show', 'how it stands now, and whether it has been tuned'],
    ['plan', 'what apply would do'],
    ['apply', 'do it'],
    ['revert', 'put back what was before the first apply'],
  ],
  options: [
    { name: 'interface', letter: 'i', kind: 'string', metavar: 'IFACE', group: WHAT_TO_TUNE, doc: 'the interface to tune' },
    { ...NETNS, group: WHAT_TO_TUNE },
    {
      name: 'for',
      kind: 'enum',
      values: ['capture'],
      default: 'capture',
      api: 'goal',
      group: WHAT_TO_TUNE,
      doc: 'what it is to be good for: every packet as it was on the wire, evenly over the cores',
    },
    {
      name: 'cpus',
      kind: 'cpus',
      libraryDefault: 'one a physical core of its NUMA node',
      api: 'cpus',
      group: WHAT_TO_TUNE,
      doc: 'CPUs that take the packets off the interface, a queue each',
    },
    { name: 'no-smt', kind: 'flag', api: 'noSmt', group: WHAT_TO_TUNE, doc: 'of --cpus that share a physical core take the first only' },
    {
      name: 'yes-i-may-lose-this-link',
      kind: 'flag',
      api: 'yesIMayLoseThisLink',
      group: WHAT_TO_TUNE,
      doc: 'apply to, or revert, the interface that carries the default route: the link may go down for some seconds',
    },
    { name: 'json', kind: 'flag', group: OUTPUT, doc: 'one JSON document instead of text' },
  ],
  examples: [
    ['ringtap tune plan -i eth1', 'what would be done, and why; needs no root, and changes nothing'],
    ['ringtap tune apply -i eth1', 'do it'],
    ['ringtap tune revert -i eth1', 'as if nothing had been'],
    ['ringtap tune apply -i eth1 --cpus 0-7 --no-smt', 'over these cores'],
    ['ringtap tune show -i mirror0 --netns blue', 'of an interface in a network namespace'],
  ],
} as const satisfies CommandRow
