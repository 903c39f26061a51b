import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parseMountinfo } from '#src/host/mountinfo.js'

test('mounts, their names as they are', () => {
  const text = [
    '36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue',
    '41 23 0:38 /a\\040b /c\\134d ro - cgroup cgroup rw,cpu,cpuacct',
    '50 23 0:4 net:[4026531840] /run/netns/x rw shared:9 - nsfs nsfs rw',
    'no mount',
    '',
  ].join('\n')
  assert.deepEqual(parseMountinfo(text), [
    { root: '/mnt1', place: '/mnt2', options: ['rw', 'noatime'], type: 'ext3', superOptions: ['rw', 'errors=continue'] },
    { root: '/a b', place: '/c\\d', options: ['ro'], type: 'cgroup', superOptions: ['rw', 'cpu', 'cpuacct'] },
    { root: 'net:[4026531840]', place: '/run/netns/x', options: ['rw'], type: 'nsfs', superOptions: ['rw'] },
  ])
})

test("this process's own", () => {
  const mounts = parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8'))
  assert.ok(mounts.some(({ place, type }) => place === '/proc' && type === 'proc'))
  assert.ok(mounts.every(({ place }) => place.startsWith('/')))
})
