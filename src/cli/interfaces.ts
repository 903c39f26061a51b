/** `ringtap interfaces`. */
import { type InterfaceFacts, readInterfaceFacts } from '../host/index.js'
import { CaptureError, listInterfaces, type NetworkInterface } from '../index.js'
import { EXIT } from './exit-status.js'
import { factsLines } from './interface-facts-lines.js'
import { factsDocument, interfacesDocument, interfaceTable } from './interface-lines.js'
import type { Io } from './io.js'
import type { ValuesOf } from './table.js'

export async function runInterfaces(values: ValuesOf<'interfaces'>, io: Io): Promise<number> {
  const scope = values.netns === undefined ? {} : { netns: values.netns }
  const all = listInterfaces(scope)
  const wanted = (values.interface ?? []).map((name) => indexOf(name, all, scope))
  const interfaces = wanted.length === 0 ? all : all.filter(({ index }) => wanted.includes(index))
  if (values.verbose) showFacts(interfaces, values.json, io)
  else if (values.json) io.out(interfacesDocument(interfaces))
  else for (const line of interfaceTable(interfaces)) io.out(line)
  return EXIT.done
}

/** By an alternative name as well, which only the kernel knows. */
function indexOf(name: string, all: readonly NetworkInterface[], scope: { netns?: string }): number {
  const listed = all.find((row) => row.name === name)
  if (listed !== undefined) return listed.index
  try {
    return readInterfaceFacts(name, scope).index
  } catch (error) {
    if (!(error instanceof CaptureError && error.code === 'NO_SUCH_INTERFACE')) throw error
    throw new CaptureError('NO_SUCH_INTERFACE', `${name}: no interface of that name`)
  }
}

function showFacts(interfaces: readonly NetworkInterface[], json: boolean, io: Io): void {
  const facts = interfaces.flatMap(factsOf)
  if (json) io.out(factsDocument(facts))
  else for (const [index, it] of facts.entries()) for (const line of [...(index === 0 ? [] : ['']), ...factsLines(it)]) io.out(line)
}

/** None of one that has gone since it was listed. */
function factsOf({ name, netns }: NetworkInterface): InterfaceFacts[] {
  try {
    return [readInterfaceFacts(name, { netns })]
  } catch (error) {
    if (error instanceof CaptureError && error.code === 'NO_SUCH_INTERFACE') return []
    throw error
  }
}
