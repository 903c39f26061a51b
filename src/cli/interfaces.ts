/** `ringtap interfaces`. */
import { listInterfaces } from '../index.js'
import { EXIT } from './exit-status.js'
import { interfacesDocument, interfaceTable } from './interface-lines.js'
import type { Io } from './io.js'
import type { ValuesOf } from './table.js'

export async function runInterfaces(values: ValuesOf<'interfaces'>, io: Io): Promise<number> {
  const interfaces = listInterfaces(values.netns === undefined ? {} : { netns: values.netns })
  if (values.json) io.out(interfacesDocument(interfaces))
  else for (const line of interfaceTable(interfaces)) io.out(line)
  return EXIT.done
}
