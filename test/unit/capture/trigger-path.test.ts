import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nameOfTrigger } from '#src/capture/trigger-path.js'
import { pathOfNumbered } from '#src/file/numbered-name.js'

const AT = new Date(2025, 0, 31, 23, 59, 58)

test('the time before the ending, or where the path has it, and a number where the name is taken', () => {
  const name = (path: string, ...taken: string[]) => pathOfNumbered(nameOfTrigger(path, AT, (it) => taken.includes(it)))
  assert.equal(name('x.pcapng'), 'x.20250131-235958.pcapng')
  assert.equal(name('/a.b/x'), '/a.b/x.20250131-235958')
  assert.equal(name('/a.b/x.y.pcap'), '/a.b/x.y.20250131-235958.pcap')
  assert.equal(name('/x.pcapng.gz'), '/x.20250131-235958.pcapng.gz')
  assert.equal(name('./.hidden'), '.hidden.20250131-235958')
  assert.equal(name('x.pcap', 'x.20250131-235958.pcap'), 'x.20250131-235958-2.pcap')
  assert.equal(name('x.pcap', 'x.20250131-235958.pcap', 'x.20250131-235958-2.pcap'), 'x.20250131-235958-3.pcap')
  assert.equal(name('/d/%Y/%H%%.pcap.zst'), '/d/2025/23%.pcap.zst')
  assert.equal(name('/d/%Y/%H%%.pcap.zst', '/d/2025/23%.pcap.zst'), '/d/2025/23%-2.pcap.zst')
})
