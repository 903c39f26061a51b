import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { doctorDocument, doctorLines, doctorStatus } from '#src/cli/doctor-lines.js'
import { diagnose } from '#src/host/doctor/diagnose.js'
import { examinedHost } from '../../support/examined.js'
import { assertGolden } from '../../support/golden.js'
import { RECORDED_HOSTS } from '../../support/recorded-host.js'

for (const name of RECORDED_HOSTS) {
  test(`a recorded machine, ${name}: what is printed, and the exit status`, () => {
    const diagnosis = diagnose(examinedHost(name))
    assertGolden(`unit/cli/golden/doctor-${name}.txt`, [...doctorLines(diagnosis, true), '', `exit status ${doctorStatus(diagnosis)}`])
  })
}

test('no capture at all is 3, a limit 1, nothing in the way 0', () => {
  const examined = examinedHost('ixgbe')
  assert.equal(doctorStatus(diagnose(examined)), 1)
  examined.interfaces = []
  const right = diagnose(examined)
  assert.equal(doctorStatus(right), 0)
  assert.match(doctorLines(right, false)[0] as string, /^this host: nothing that was looked at is in the way/)
  examined.confinement.effective = []
  const none = diagnose(examined)
  assert.equal(doctorStatus(none), 3)
  assert.match(doctorLines(none, false)[0] as string, /^this host: no capture is possible: 1 thing in the way, 3 more would limit it$/)
})

test('without -v what is right is only counted', () => {
  const diagnosis = diagnose(examinedHost('ixgbe'))
  const count = diagnosis.findings.filter((it) => it.severity === 'ok').length
  assert.ok(doctorLines(diagnosis, false).includes(`ok      ${count} other things that were looked at (-v shows them)`))
  assert.equal(doctorLines(diagnosis, true).filter((line) => line.startsWith('ok ')).length, count)
})

test('the document has everything, null for what there is not', () => {
  const diagnosis = diagnose(examinedHost('veth'))
  const document = JSON.parse(doctorDocument(diagnosis)) as { type: string; verdict: string; findings: Record<string, unknown>[] }
  assert.deepEqual([document.type, document.verdict, document.findings.length], ['doctor', diagnosis.verdict, diagnosis.findings.length])
  for (const finding of document.findings) assert.deepEqual(Object.keys(finding), ['id', 'severity', 'interface', 'what', 'cost', 'remedy', 'note'])
})

test('without koffi nothing of the library loads: doctor says so, and how to mend it', () => {
  const main = fileURLToPath(import.meta.resolve('#src/cli/main.js'))
  const hooks =
    "export const resolve = (name, context, next) => { if (name === 'koffi') throw new Error('Cannot find the native Koffi module\\nand more'); return next(name, context) }"
  const register = `import { register } from 'node:module'; register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(hooks)}`)})`
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--no-deprecation', '--import', `data:text/javascript,${encodeURIComponent(register)}`, main, 'doctor'],
    {
      encoding: 'utf8',
    },
  )
  assert.equal(stderr, '')
  assert.equal(status, 3)
  assert.match(
    stdout,
    /^this host: no capture is possible: 1 thing in the way\n\nfatal {3}koffi: koffi cannot be loaded: Cannot find the native Koffi module\n/,
  )
})
