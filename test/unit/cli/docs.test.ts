import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { commandLineDocument } from '#src/cli/docs.js'

test('docs/cli.md is what node dist/cli/docs.js writes', () => {
  const file = new URL('../../../../docs/cli.md', import.meta.url)
  assert.equal(readFileSync(file, 'utf8'), commandLineDocument(), 'run node dist/cli/docs.js')
})
