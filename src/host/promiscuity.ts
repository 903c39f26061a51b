/** What holds an interface promiscuous, in plain words. Pure. */
import { IFF_PROMISC } from '../kernel/abi/if.js'
import type { DeviceAnswers } from './device-answers.js'
import type { UnreadFact } from './facts.js'
import type { HostFiles } from './host-files.js'
import { socketHolders } from './processes.js'

/** Masters that make each of their members promiscuous; others only pass on what they are themselves. */
const PROMISCUOUS_MASTERS: ReadonlySet<string> = new Set(['bridge', 'openvswitch'])

/** One text each that can be told, and one for how many cannot; never more than IFLA_PROMISCUITY counts. */
export function promiscuousHolders(answers: DeviceAnswers, files: HostFiles, unread: UnreadFact[]): string[] {
  const { link } = answers
  if (link.promiscuity === 0) return []
  const holders: string[] = []
  if ((link.flags & IFF_PROMISC) !== 0) holders.push('sticky flag (ip link set promisc on)')
  holders.push(...sockets(answers, files, unread))
  const { master } = link
  if (master !== undefined) {
    const text = `${master.kind ?? 'member of'} ${master.name}`
    if (PROMISCUOUS_MASTERS.has(master.kind ?? '')) holders.push(text)
    else if (master.promiscuity > 0) holders.push(`${text}, itself promiscuous`)
  }
  for (const upper of link.uppers) if (upper.promiscuity > 0) holders.push(`${upper.kind ?? 'interface'} ${upper.name}, itself promiscuous`)
  const unknown = link.promiscuity - holders.length
  if (unknown > 0) holders.push(`${unknown} that the kernel does not name`)
  return holders
}

function sockets({ promiscuousSockets }: DeviceAnswers, files: HostFiles, unread: UnreadFact[]): string[] {
  if (promiscuousSockets.unread !== undefined) unread.push({ what: 'packet sockets', ...promiscuousSockets.unread })
  const inodes = promiscuousSockets.value ?? []
  const { found, isPartial } = socketHolders(files, inodes)
  if (isPartial) unread.push({ what: 'processes that hold it promiscuous', source: '/proc/PID/fd', reason: 'EACCES: permission denied' })
  return inodes.map((inode) => {
    const holder = found.get(inode)
    return holder === undefined
      ? `packet socket (inode ${inode}) of a process that is not to be seen`
      : `packet socket of ${holder.command} (pid ${holder.pid})`
  })
}
