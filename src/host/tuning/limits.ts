/** Limits of net.core that a capture meets, and how the CPUs are clocked. They are the machine's, not the interface's. */
import { inNamespace } from './command.js'
import { part, remark, type TuningContext, type TuningPart, type TuningRemark, type TuningStep } from './plan.js'
import { wantsRps } from './steering.js'
import { step } from './step.js'

export const ENOUGH_BACKLOG = 16_384

interface Limit {
  name: string
  least: number
  why: string
  /** It is no use otherwise. */
  when?: (context: TuningContext) => boolean
}

/**
 * busy_poll and busy_read are not among them: they are for sockets that block in recv on their own traffic; AF_XDP sockets ask for busy polling
 * themselves (SO_BUSY_POLL).
 */
const LIMITS: readonly Limit[] = [
  {
    name: 'net.core.netdev_max_backlog',
    least: ENOUGH_BACKLOG,
    why: 'RPS puts packets into the backlog of another core; 1000 of them, the default, are a millisecond of a million a second',
    when: wantsRps,
  },
  {
    name: 'net.core.netdev_budget',
    least: 600,
    why: 'packets a core takes off its queues before other work has its turn; each time it ends there counts as time_squeeze',
  },
  {
    name: 'net.core.netdev_budget_usecs',
    least: 8000,
    why: 'the same limit as a time; 2000, the default with 1000 Hz, ends a round under flood before the budget does',
  },
  {
    name: 'net.core.rmem_max',
    least: 4 * 2 ** 20,
    why: 'the receive buffer that a capture without CAP_NET_ADMIN may have (SO_RCVBUF, backend recv); rings do not count',
  },
  {
    name: 'net.core.optmem_max',
    least: 131_072,
    why: 'a classic filter of thousands of instructions is charged to it, else ENOMEM; the default since Linux 6.8',
  },
]

export function planLimits(context: TuningContext): TuningPart {
  return part(...LIMITS.map((limit) => planLimit(context, limit)).filter((it) => it !== undefined))
}

function planLimit(context: TuningContext, { name, least, why, when }: Limit): TuningStep | TuningRemark | undefined {
  const { host, facts } = context
  const current = host.sysctls[name]
  // Not to be read: the namespace has none of its own, or facts name it as unread.
  if (current === undefined || when?.(context) === false) return undefined
  if (Number(current) >= least) return remark('in-place', name, 'limit', current)
  const raise = step({ kind: 'sysctl', name, value: String(least) }, 'limit', why, host, facts, name)
  return host.readOnlySysctls?.includes(name) === true ? inHostNamespace(raise) : raise
}

/** NB: of a container /proc/1 is its own: there the command is for its host. */
function inHostNamespace({ subject, what, from, to, why, command }: TuningStep): TuningRemark {
  const where = 'of the whole machine, and only to be read in this network namespace'
  return { status: 'by-hand', subject, what, why: `${from} -> ${to}, ${where}: ${why}`, command: inNamespace({ netns: '1' }, command) }
}

/** Of the CPUs that take packets alone: the others may save energy. */
export function planGovernors({ host, facts, cpus }: TuningContext): TuningPart {
  const scaled = host.cpus.filter(({ cpu, governor }) => cpus.includes(cpu) && governor !== undefined)
  if (scaled.length === 0) return part(remark('unsupported', 'CPUs', 'frequency governor', 'no frequency scaling that this machine lets be set'))
  return part(
    ...scaled.map(({ cpu, governor, availableGovernors = ['performance'] }) => {
      const subject = `CPU ${cpu}`
      if (governor === 'performance') return remark('in-place', subject, 'frequency governor', governor)
      if (!availableGovernors.includes('performance')) {
        return remark('unsupported', subject, 'frequency governor', `this machine has ${availableGovernors.join(', ')}, and no performance`)
      }
      const why = 'a core that slept in a lull must not climb to its frequency while the burst is already there'
      return step({ kind: 'governor', cpu, value: 'performance' }, 'frequency governor', why, host, facts, subject)
    }),
  )
}
