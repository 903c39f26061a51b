/** `ringtap doctor`. */
import type { Diagnosis } from '../host/index.js'
import { doctorDocument, doctorLines, doctorStatus } from './doctor-lines.js'
import type { Io } from './io.js'
import type { ValuesOf } from './table.js'

export async function runDoctor(values: ValuesOf<'doctor'>, io: Io): Promise<number> {
  const diagnosis = await diagnose(values)
  if (values.json) io.out(doctorDocument(diagnosis))
  else for (const line of doctorLines(diagnosis, values.verbose)) io.out(line)
  return doctorStatus(diagnosis)
}

async function diagnose({ interface: interfaces, netns }: ValuesOf<'doctor'>): Promise<Diagnosis> {
  const library = await import('../host/index.js').catch(withoutKoffi)
  return 'verdict' in library ? library : library.diagnoseHost({ interfaces, netns })
}

/** The library is nothing without koffi, and does not even load: then that is all there is to find. */
function withoutKoffi(error: Error): Diagnosis {
  if (!/koffi/i.test(error.message)) throw error
  const what = `koffi cannot be loaded: ${error.message.split('\n', 1)[0]}`
  const cost = 'each system call goes through it: no capture'
  const remedy = 'npm install koffi'
  const note = 'on a platform that it has a binary for'
  return { verdict: 'impossible', interfaces: [], findings: [{ id: 'koffi', severity: 'fatal', interface: undefined, what, cost, remedy, note }], unread: [] }
}
