/**
 * Signals, caught from the first moment that a program in Node.js can: main.ts imports this before all else. One that nobody listens to
 * ends the process, or, SIGUSR1, opens Node's debugger in it, which is root's as a rule. What asks for the end comes never too early: it is
 * kept for who listens later.
 */
import { wasHangupIgnored } from './hangup.js'

const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const ASKING = ['SIGUSR1', 'SIGUSR2'] as const

/** When to look for a debugger again: a thread of Node.js opens it when it has its turn, which may be after the signal has got its listener here. */
const LOOKS_MS = [20, 100, 500, 2000] as const

export type HandledSignal = (typeof ENDING)[number] | (typeof ASKING)[number]

const listeners = new Map<HandledSignal, () => void>()
const early = new Set<HandledSignal>()

for (const name of ASKING) process.on(name, () => listeners.get(name)?.())
const isHangupIgnored = wasHangupIgnored()
for (const name of ENDING) {
  process.on(name, () => {
    if (name === 'SIGHUP' && isHangupIgnored) return
    const listener = listeners.get(name)
    if (listener === undefined) early.add(name)
    else listener()
  })
}
closeDebugger()

/** One listener a signal: the last one. */
export function onSignal(name: HandledSignal, listener: () => void): void {
  listeners.set(name, listener)
  if (early.delete(name)) listener()
}

/** One that SIGUSR1 has opened before this module was there. Whoever asked for one keeps it. */
function closeDebugger(): void {
  // What is loaded before all else may be an editor's, which opens one.
  const isAsked =
    process.execArgv.some((argument) => /^--inspect(-brk|-wait)?(=|$)/.test(argument)) ||
    /--inspect(?!-port)|--require|--import|-r\b/.test(process.env.NODE_OPTIONS ?? '')
  if (isAsked) return
  import('node:inspector').then(
    ({ close, url }) => {
      const look = () => {
        if (url() !== undefined) close()
      }
      look()
      for (const delayMs of LOOKS_MS) setTimeout(look, delayMs).unref()
    },
    // A Node.js without one.
    () => {},
  )
}
