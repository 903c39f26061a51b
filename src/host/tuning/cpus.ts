/** Which CPUs take the packets off an interface. */
import { CaptureError } from '../../errors.js'
import { cpuListText } from '../../kernel/cpus.js'
import type { CpuFacts, HostFacts, InterfaceFacts } from '../facts.js'
import type { TuningOptions } from './plan.js'

export interface ChosenCpus {
  cpus: number[]
  why: string
}

/**
 * One CPU a physical core: two hyperthreads that both work on packets share the caches and execution units of one.
 * @throws CaptureError INVALID_OPTION for a CPU that is not online.
 */
export function chooseCpus(host: HostFacts, { name, numaNode }: InterfaceFacts, { cpus, noSmt }: TuningOptions): ChosenCpus {
  if (cpus !== undefined) return givenCpus(host, cpus, noSmt === true)
  const near = host.cpus.filter((it) => it.numaNode === numaNode)
  const all = near.length > 0 ? near : host.cpus
  const busy = withoutIsolated(all, host)
  const chosen = onePerCore(busy.length > 0 ? busy : all).map(({ cpu }) => cpu)
  const without = isolatedText(all, busy)
  if (near.length === 0 || near.length === host.cpus.length) return { cpus: chosen, why: `one a physical core${without}` }
  return { cpus: chosen, why: `one a physical core of NUMA node ${numaNode}, where ${name} is: packets do not cross to another node's memory${without}` }
}

/** Nor those that share a core with one: what that was isolated for would feel it. */
function withoutIsolated(all: readonly CpuFacts[], { isolatedCpus = [] }: HostFacts): CpuFacts[] {
  const cores = new Set(all.filter(({ cpu }) => isolatedCpus.includes(cpu)).map(({ core }) => core))
  return all.filter(({ core }) => !cores.has(core))
}

/** Whoever isolated them for a capture names them (--cpus). */
function isolatedText(all: readonly CpuFacts[], busy: readonly CpuFacts[]): string {
  if (busy.length === all.length) return ''
  if (busy.length === 0) return '; all cores are isolated (isolcpus, nohz_full)'
  return `; without the isolated ${cpuListText(all.filter((it) => !busy.includes(it)).map(({ cpu }) => cpu))} (isolcpus, nohz_full)`
}

function givenCpus(host: HostFacts, cpus: readonly number[], noSmt: boolean): ChosenCpus {
  const unique = [...new Set(cpus)]
  const found = unique.flatMap((cpu) => host.cpus.filter((it) => it.cpu === cpu))
  if (found.length === 0 || found.length !== unique.length) {
    const online = cpuListText(host.cpus.map(({ cpu }) => cpu))
    throw new CaptureError('INVALID_OPTION', `Expected cpus to be online CPUs (${online}), got ${cpus.length === 0 ? 'none' : cpus.join(',')}`)
  }
  const chosen = noSmt ? onePerCore(found) : found
  return { cpus: chosen.map(({ cpu }) => cpu), why: noSmt ? 'of those given, one a physical core' : 'as given' }
}

/** The first of each core, in the order of the list. */
function onePerCore(cpus: readonly CpuFacts[]): CpuFacts[] {
  const cores = new Set<number>()
  return cpus.filter(({ core }) => !cores.has(core) && cores.add(core))
}
