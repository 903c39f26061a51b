/** What tshark reads of a capture file: of each packet its time, lengths, interface and the MD5 of its bytes. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import type { FilePacket } from '#src/index.js'

const FIELDS = ['frame.time_epoch', 'frame.len', 'frame.cap_len', 'frame.md5_hash']

/** One line a packet: `1700000000.123456789 60 60 <md5>`. */
export function tsharkPackets(path: string): string[] {
  const argv = ['-n', '-r', path, '-o', 'frame.generate_md5_hash:TRUE', '-T', 'fields', ...FIELDS.flatMap((field) => ['-e', field]), '-E', 'separator=/s']
  const { stdout, stderr, status } = spawnSync('tshark', argv, { encoding: 'utf8', maxBuffer: 2 ** 30 })
  assert.equal(status, 0, stderr)
  return stdout.split('\n').filter((line) => line !== '')
}

/** The same of a packet of ours. */
export function asTshark({ seconds, nanoseconds, wireLength, bytes }: FilePacket): string {
  return `${seconds}.${String(nanoseconds).padStart(9, '0')} ${wireLength} ${bytes.length} ${createHash('md5').update(bytes).digest('hex')}`
}
