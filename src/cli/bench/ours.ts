/** Our own receiver: `ringtap capture --json`, or `count`, in a process of its own, as a user would run it. */
import { fileURLToPath } from 'node:url'
import { parseJsonLine, type ReceiverProgram, type ReceiverReport } from './receiver.js'
import { type Rung, receiverArguments } from './rungs.js'

export function ourProgram(rung: Rung, workers: number, interfaceName: string, netns: string): ReceiverProgram {
  const main = fileURLToPath(new URL('../main.js', import.meta.url))
  return {
    name: `ringtap ${rung.name}`,
    command: process.execPath,
    arguments: [main, ...receiverArguments(rung, workers, interfaceName, netns)],
    stopSignal: 'SIGINT',
    inDriver: rung.inDriver,
    parse: parseOurLine,
  }
}

export function parseOurLine(line: string): ReceiverReport {
  const value = parseJsonLine(line)
  switch (value?.type) {
    case 'start':
      return { ready: true }
    case 'interval':
      return { interval: { received: Number(value.packetsPerSecond), dropped: Number(value.dropsPerSecond ?? 0) } }
    case 'summary': {
      const drops = Object.entries((value.drops ?? {}) as Record<string, number>).map(([name, count]) => [name, Number(count)] as const)
      return { totals: { received: Number(value.packets), drops: Object.fromEntries(drops) } }
    }
    default:
      return {}
  }
}
