/** The filter of a capture, for each of its sockets. */
import type { Instruction } from '../bpf/classic.js'
import { compileFilter } from '../filter/compile.js'
import { resolveFilterNames } from '../host/name-tables.js'
import type { CapturePlan } from './api.js'

type Backend = CapturePlan['backend']

/** The program for a backend, on an interface with this netmask. */
export type FilterFor = (backend: Backend, netmask: number) => readonly Instruction[]

/**
 * Looks names up, and compiles once for each backend that may be taken, so that what is wrong is told before anything is open.
 * @throws FilterError
 */
export async function prepareFilter({ filter, backend, otherwise }: CapturePlan): Promise<FilterFor | undefined> {
  if (filter === undefined) return undefined
  const names = await resolveFilterNames(filter)
  // NB: what an AF_PACKET socket sees has lost its outermost tag; XDP runs before it is taken out.
  const compile: FilterFor = (by, netmask) => compileFilter(filter, { names, netmask, vlan: by === 'xdp' ? 'packet' : 'ancillary' }).instructions
  compile(backend, 0)
  if (otherwise !== undefined) compile(otherwise.backend, 0)
  return compile
}
