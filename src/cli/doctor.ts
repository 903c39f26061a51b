/** `ringtap doctor`. */
import { diagnoseHost } from '../host/index.js'
import { doctorDocument, doctorLines, doctorStatus } from './doctor-lines.js'
import type { Io } from './io.js'
import type { ValuesOf } from './table.js'

export function runDoctor(values: ValuesOf<'doctor'>, io: Io): number {
  const diagnosis = diagnoseHost({ interfaces: values.interface, netns: values.netns })
  if (values.json) io.out(doctorDocument(diagnosis))
  else for (const line of doctorLines(diagnosis, values.verbose)) io.out(line)
  return doctorStatus(diagnosis)
}
