/** The filter of a capture, for each of its sockets. */
import type { Instruction } from '../bpf/classic.js'
import { compileFilter } from '../filter/compile.js'
import { resolveFilterNames } from '../host/name-tables.js'
import type { CapturePlan } from './api.js'

type Backend = CapturePlan['backend']

/** The program for a backend, on an interface with this netmask. */
export type FilterFor = (backend: Backend, netmask: number) => readonly Instruction[]

/**
 * The same of the filter that triggers a time machine: for packets of any backend as a worker has them, their outermost tag taken out.
 * @throws FilterError
 */
export async function prepareTrigger({ write }: CapturePlan): Promise<((netmask: number) => readonly Instruction[]) | undefined> {
  const trigger = write?.past?.trigger
  if (trigger === undefined) return undefined
  const names = await resolveFilterNames(trigger)
  const compile = (netmask: number) => compileFilter(trigger, { names, netmask, vlan: 'ancillary' }).instructions
  compile(0)
  return compile
}

/**
 * Looks names up, and compiles once for each backend that may be taken, so that what is wrong is told before anything is open.
 * Each program is compiled once, however many interfaces it serves.
 * @throws FilterError
 */
export async function prepareFilter({ filter, backend, otherwise }: CapturePlan): Promise<FilterFor | undefined> {
  if (filter === undefined) return undefined
  const names = await resolveFilterNames(filter)
  const programs = new Map<string, readonly Instruction[]>()
  const compile: FilterFor = (by, netmask) => {
    // NB: what an AF_PACKET socket sees has lost its outermost tag; XDP runs before it is taken out.
    const vlan = by === 'xdp' ? 'packet' : 'ancillary'
    const key = `${vlan} ${netmask}`
    const program = programs.get(key) ?? compileFilter(filter, { names, netmask, vlan }).instructions
    programs.set(key, program)
    return program
  }
  compile(backend, 0)
  if (otherwise !== undefined) compile(otherwise.backend, 0)
  return compile
}
