/** What the figures were measured on. */
import { readFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import type { MachineFacts } from './result.js'

export function readMachine(cores: number): MachineFacts {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores,
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
    virtual: / hypervisor( |$)/m.test(readFileSync('/proc/cpuinfo', 'utf8')),
  }
}

export function readVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }
  return version
}
