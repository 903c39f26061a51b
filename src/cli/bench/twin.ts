/** The C twins of the rungs: compiled from bench/reference/ into a temporary folder, run in the receiver's network namespace. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { CaptureError } from '../../index.js'
import { parseJsonLine, type ReceiverProgram, type ReceiverReport } from './receiver.js'
import { type Rung, saysWorkers } from './rungs.js'

const run = promisify(execFile)

export interface Twins {
  /** undefined for a rung that has none. */
  program(rung: Rung, workers: number, interfaceName: string, netns: string): ReceiverProgram | undefined
}

export async function compileTwins(rungs: readonly Rung[], folder: string, signal: AbortSignal): Promise<Twins> {
  const programs = new Map<string, string>()
  for (const source of new Set(rungs.flatMap((rung) => rung.twin?.source ?? []))) {
    const path = fileURLToPath(new URL(`../../../bench/reference/${source}`, import.meta.url))
    const output = join(folder, source.replace(/\.c$/, ''))
    try {
      await run('cc', ['-O2', '-pthread', '-o', output, path], { signal })
    } catch (error) {
      signal.throwIfAborted()
      const { code, stderr } = error as { code?: string | number; stderr?: string }
      if (code === 'ENOENT') {
        throw new CaptureError('UNSUPPORTED_PLATFORM', '--reference: no C compiler: cc is not installed', {
          hint: 'apt-get install gcc libc6-dev, or leave out --reference',
          cause: error,
        })
      }
      const complaint = (stderr ?? '').split('\n').find((line) => line.includes('error')) ?? String(error)
      throw new CaptureError('UNSUPPORTED_PLATFORM', `--reference: cc does not compile ${source}: ${complaint.trim()}`, {
        hint: 'apt-get install libc6-dev linux-libc-dev, or leave out --reference',
        cause: error,
      })
    }
    programs.set(source, output)
  }
  return {
    program(rung, workers, interfaceName, netns) {
      const { twin } = rung
      if (twin === null) return undefined
      const options = [...(saysWorkers(rung) ? ['-w', String(workers)] : []), ...twin.options]
      return {
        name: [twin.source, ...options].join(' '),
        // Node.js starts a child in its own namespace. nsenter replaces itself by the program, so the child is the twin.
        command: 'nsenter',
        arguments: [`--net=${netns}`, programs.get(twin.source) ?? '', '-i', interfaceName, ...options],
        stopSignal: 'SIGTERM',
        inDriver: rung.inDriver,
        parse: parseTwinLine,
      }
    },
  }
}

export function parseTwinLine(line: string): ReceiverReport {
  if (line === 'ready') return { ready: true }
  const value = parseJsonLine(line)
  if (typeof value?.packets !== 'number' || typeof value.lost !== 'object') return {}
  return { totals: { received: value.packets, drops: value.lost as Record<string, number> } }
}
