/** The CPUs of the machine, as the kernel numbers them. */
import { readFileSync } from 'node:fs'

/** `0-2,5` is [0, 1, 2, 5]: the format of /sys and /proc for lists of CPUs. */
export function parseCpuList(text: string): number[] {
  return text
    .trim()
    .split(',')
    .filter((part) => part !== '')
    .flatMap((part) => {
      const [first, last] = part.split('-').map(Number) as [number, number | undefined]
      return Array.from({ length: (last ?? first) - first + 1 }, (_, i) => first + i)
    })
}

/** The CPUs that may ever be there, plugged in or not, ascending: per-CPU maps have a value for each of them. */
export function possibleCpus(): number[] {
  return parseCpuList(readFileSync('/sys/devices/system/cpu/possible', 'latin1'))
}

/** [0, 1, 2, 5] is `0-2,5`; in ascending order, whatever the list's. */
export function formatCpuList(cpus: readonly number[]): string {
  const runs: [number, number][] = []
  for (const cpu of cpus.toSorted((a, b) => a - b)) {
    const last = runs.at(-1)
    if (last !== undefined && cpu <= last[1] + 1) last[1] = cpu
    else runs.push([cpu, cpu])
  }
  return runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',')
}

/** [0, 33] is `2,00000001`: the format in which rps_cpus and xps_cpus are written, words of 32 bits, the highest first. */
export function formatCpuMask(cpus: readonly number[]): string {
  const words = new Uint32Array(Math.floor(Math.max(0, ...cpus) / 32) + 1)
  for (const cpu of cpus) words[cpu >> 5] = (words[cpu >> 5] as number) | (1 << (cpu & 31))
  return Array.from(words, (word, at) => word.toString(16).padStart(at === words.length - 1 ? 1 : 8, '0'))
    .reverse()
    .join(',')
}
