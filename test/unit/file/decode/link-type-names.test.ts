/** Names of link types, against tcpdump, which prints the one of a file that it opens. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileLinkTypeName } from '#src/file/decode/link-type-names.js'
import { MICROSECONDS, pcapHeader } from '../../../support/capture-writer.js'

test('every number up to 300 has the name that tcpdump has for it, or none', () => {
  let named = 0
  for (let linktype = 0; linktype <= 300; linktype++) {
    const ours = fileLinkTypeName(linktype)
    if (ours === `LINKTYPE_${linktype}`) continue
    named++
    const { stderr } = spawnSync('tcpdump', ['-r', '-'], { input: pcapHeader({ littleEndian: true, magic: MICROSECONDS, linktype }), encoding: 'utf8' })
    assert.equal(/link-type ([\w-]+)/.exec(stderr)?.[1]?.replaceAll('-', '_'), ours, `${linktype}: ${stderr}`)
  }
  assert.ok(named > 50)
})
