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

/** [0, 1, 2, 5] is `0-2,5`. */
export function cpuListText(cpus: readonly number[]): string {
  const ranges: [first: number, last: number][] = []
  for (const cpu of [...new Set(cpus)].sort((a, b) => a - b)) {
    const range = ranges.at(-1)
    if (range !== undefined && range[1] === cpu - 1) range[1] = cpu
    else ranges.push([cpu, cpu])
  }
  return ranges.map(([first, last]) => (first === last ? String(first) : `${first}-${last}`)).join(',')
}

/** `00000001,80000003` is [0, 1, 31, 32]: the format of rps_cpus, xps_cpus and smp_affinity, words of 32 CPUs in hexadecimal, the highest first. */
export function parseCpuMask(text: string): number[] {
  const words = text.trim().split(',').reverse()
  return words.flatMap((word, index) => {
    const bits = Number.parseInt(word, 16)
    return Array.from({ length: 32 }, (_, bit) => bit).flatMap((bit) => ((bits >>> bit) & 1 ? [index * 32 + bit] : []))
  })
}

/** [0, 1, 31, 32] is `1,80000003`; none is `0`. The kernel takes it, and shows it with as many zeros before it as it has CPUs. */
export function cpuMaskText(cpus: readonly number[]): string {
  const words = Array.from({ length: Math.floor(Math.max(0, ...cpus) / 32) + 1 }, () => 0)
  for (const cpu of cpus) words[cpu >> 5] = (words[cpu >> 5] as number) | (1 << (cpu & 31))
  return words
    .reverse()
    .map((word, index) => (word >>> 0).toString(16).padStart(index === 0 ? 1 : 8, '0'))
    .join(',')
}

/** The CPUs that may ever be there, plugged in or not, ascending: per-CPU maps have a value for each of them. */
export function possibleCpus(): number[] {
  return parseCpuList(readFileSync('/sys/devices/system/cpu/possible', 'latin1'))
}
