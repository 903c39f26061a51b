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
