/** `--profile`: where the whole machine spends its time, by perf(1), as the article shows after each rung. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { CaptureError } from '../../index.js'
import type { ProfileRow } from './result.js'

const run = promisify(execFile)

const TOP = 12

/** Samples all cores for so long. */
export async function recordProfile(file: string, seconds: number, signal: AbortSignal): Promise<void> {
  await perf(['record', '--quiet', '--all-cpus', '--event', 'cpu-clock', '--output', file, '--', 'sleep', String(seconds)], signal)
}

export async function readProfile(file: string, signal: AbortSignal): Promise<ProfileRow[]> {
  const options = ['--stdio', '--input', file, '--sort', 'symbol,dso', '--fields', 'overhead,symbol,dso', '--field-separator', ';', '--percent-limit', '0.3']
  return parseProfile(await perf(['report', ...options], signal)).slice(0, TOP)
}

/** Rows of the kernel, highest first. A user-space row is left out, but is in the hundred percent. */
export function parseProfile(report: string): ProfileRow[] {
  const rows: ProfileRow[] = []
  for (const line of report.split('\n')) {
    const match = /^\s*([\d.]+)%?\s*;\s*\[k\]\s*([^;]+?)\s*;\s*([^;]+?)\s*(?:;.*)?$/.exec(line)
    if (match === null) continue
    const module = match[3].replace(/^\[kernel\..*$/, 'kernel').replace(/^\[(.*)\]$/, '$1')
    rows.push({ percent: Number(match[1]), symbol: match[2], module })
  }
  return rows.sort((a, b) => b.percent - a.percent)
}

export async function requirePerf(signal: AbortSignal): Promise<void> {
  await perf(['--version'], signal)
}

async function perf(args: string[], signal: AbortSignal): Promise<string> {
  try {
    const { stdout } = await run('perf', args, { signal, maxBuffer: 64 << 20 })
    return stdout
  } catch (error) {
    signal.throwIfAborted()
    const { code, stderr } = error as { code?: string | number; stderr?: string }
    const missing = code === 'ENOENT'
    throw new CaptureError(
      'UNSUPPORTED_PLATFORM',
      missing ? '--profile: perf is not installed' : `--profile: perf ${args[0]}: ${firstLine(stderr ?? String(error))}`,
      {
        hint: missing
          ? 'apt-get install linux-perf, or leave out --profile'
          : 'perf needs a kernel with CONFIG_PERF_EVENTS and the right to use it; or leave out --profile',
        cause: error,
      },
    )
  }
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0] ?? ''
}
