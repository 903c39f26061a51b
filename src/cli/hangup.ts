/** Whether SIGHUP was to be ignored when this process began, as nohup(1) has it. */
import { readFileSync, readlinkSync } from 'node:fs'

/** What is read of this machine, but in tests. */
export interface HangupFacts {
  /** /proc/PID/status of this process and of its parent, where they can be read. */
  own: string | undefined
  parent: string | undefined
  /** What the shell says that it has started. */
  started: string | undefined
  /** Where stdin comes from, and the fdinfo of it. */
  stdin: string | undefined
  stdinInfo: string | undefined
}

/**
 * NB: Node.js sets all signals back before any JavaScript runs,
 * so that SigIgn of this process tells nothing any more. What is left of a nohup: its name in `_`, the last thing that bash started; stdin
 * that can only be written, which it gives to who has a terminal; and a parent, such as a script that it has started, that ignores SIGHUP.
 */
export function isHangupToBeIgnored({ own, parent, started, stdin, stdinInfo }: HangupFacts): boolean {
  if (ignoresHangup(own) || ignoresHangup(parent)) return true
  if (started !== undefined && /(^|\/)nohup$/.test(started)) return true
  const flags = /^flags:\s+(\d+)/m.exec(stdinInfo ?? '')?.[1]
  return stdin === '/dev/null' && flags !== undefined && (Number.parseInt(flags, 8) & 3) === 1
}

function ignoresHangup(status: string | undefined): boolean {
  const ignored = /^SigIgn:\s+([0-9a-f]+)/m.exec(status ?? '')?.[1]
  return ignored !== undefined && (BigInt(`0x${ignored}`) & 1n) !== 0n
}

export function wasHangupIgnored(): boolean {
  return isHangupToBeIgnored({
    own: attempt(() => readFileSync('/proc/self/status', 'latin1')),
    parent: attempt(() => readFileSync(`/proc/${process.ppid}/status`, 'latin1')),
    started: process.env._,
    stdin: attempt(() => readlinkSync('/proc/self/fd/0')),
    stdinInfo: attempt(() => readFileSync('/proc/self/fdinfo/0', 'latin1')),
  })
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
