import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { lookAround } from '#src/host/tuning/whereabouts.js'

interface Task {
  net?: number
  mnt?: number
  root?: string
  /** Lines of mountinfo: root and mount point. */
  mounts?: readonly string[]
  /** What descriptors are links to. */
  files?: readonly string[]
}

/** A /proc of plain files, by process and thread; `self` is process 1. */
function procOf(t: TestContext, tasks: Readonly<Record<string, Task>>): string {
  const proc = mkdtempSync(join(tmpdir(), 'ringtap-proc-'))
  t.after(() => rmSync(proc, { recursive: true, force: true }))
  for (const [name, task] of Object.entries(tasks)) {
    const [pid = '', tid = pid] = name.split('/')
    const folders = [join(proc, pid, 'task', tid), ...(tid === pid ? [join(proc, pid)] : [])]
    for (const folder of folders) fill(folder, task)
  }
  symlinkSync('1', join(proc, 'self'))
  return proc
}

function fill(folder: string, { net, mnt = 1, root = '/', mounts = [], files = [] }: Task): void {
  for (const name of ['ns', 'fd']) mkdirSync(join(folder, name), { recursive: true })
  if (net !== undefined) symlinkSync(`net:[${net}]`, join(folder, 'ns/net'))
  symlinkSync(`mnt:[${mnt}]`, join(folder, 'ns/mnt'))
  symlinkSync(root, join(folder, 'root'))
  writeFileSync(join(folder, 'mountinfo'), mounts.map((it, id) => `${id} 1 0:4 ${it} rw - nsfs nsfs rw\n`).join(''))
  for (const [fd, link] of files.entries()) symlinkSync(link, join(folder, 'fd', `${fd}`))
}

function seen(proc: string) {
  const { sightings, isWhole } = lookAround(proc)
  return { isWhole, paths: sightings.map(({ inode, path }) => `${inode} ${path.replace(proc, '/proc')}`) }
}

test('namespaces of threads, of descriptors, and of mounts wherever they are, those with a name of one’s own first', (t) => {
  const proc = procOf(t, {
    '1': { net: 100, mounts: ['net:[101] /run/netns/blue', '/ /home'] },
    '7': { net: 100, files: ['/dev/null', 'net:[104]'] },
    '7/8': { net: 102 },
    '9': { net: 100, mnt: 2, mounts: ['net:[103] /tmp/a\\040b'] },
  })
  const { paths, isWhole } = seen(proc)
  assert.equal(paths[0], '101 /run/netns/blue')
  for (const path of ['102 /proc/7/task/8/ns/net', '103 /proc/9/root/tmp/a b', '104 /proc/7/fd/1']) assert.ok(paths.includes(path), path)
  assert.equal(isWhole, true)
})

test('what a leader that has ended held its threads hold still', (t) => {
  const proc = procOf(t, { '1': { net: 100 }, '7': {}, '7/8': { net: 100, mnt: 3, mounts: ['net:[105] /x'], files: ['net:[104]'] } })
  const { paths } = seen(proc)
  assert.ok(paths.includes('104 /proc/7/task/8/fd/0'))
  assert.ok(paths.includes('105 /proc/7/task/8/root/x'))
})

test('it is not the whole where something is refused, or may be where nobody can look', (t) => {
  const one = { '1': { net: 100 } }
  assert.equal(seen(procOf(t, one)).isWhole, true)
  // A mount namespace that is mounted or held, and has no process: of snapd. One that a process is in has been looked at.
  assert.equal(seen(procOf(t, { '1': { net: 100, mounts: ['mnt:[2] /run/snapd/ns/x.mnt'] } })).isWhole, false)
  assert.equal(seen(procOf(t, { '1': { net: 100, files: ['mnt:[2]'] } })).isWhole, false)
  assert.equal(seen(procOf(t, { '1': { net: 100, files: ['mnt:[2]'] }, '7': { net: 100, mnt: 2 } })).isWhole, true)
  // Below another root mountinfo shows a part.
  assert.equal(seen(procOf(t, { ...one, '7': { net: 100, mnt: 2, root: '/jail' } })).isWhole, false)
  assert.equal(seen(procOf(t, { ...one, '7': { net: 100, mnt: 2, root: '/jail' }, '9': { net: 100, mnt: 2 } })).isWhole, true)
  // ENOTDIR and ELOOP stand for any refusal: root is refused nothing in a folder of its own.
  const closed = procOf(t, one)
  rmSync(join(closed, '1/task/1/fd'), { recursive: true })
  rmSync(join(closed, '1/fd'), { recursive: true })
  writeFileSync(join(closed, '1/fd'), '')
  assert.equal(seen(closed).isWhole, false)
  const refusing = procOf(t, { ...one, '7': { net: 100, mnt: 2 } })
  rmSync(join(refusing, '7/mountinfo'))
  symlinkSync('mountinfo', join(refusing, '7/mountinfo'))
  assert.equal(seen(refusing).isWhole, false)
  // What has ended meanwhile is none: the other of that mount namespace is read in its place.
  const ended = procOf(t, { ...one, '7': { net: 100, mnt: 2 }, '9': { net: 100, mnt: 2 } })
  rmSync(join(ended, '7/mountinfo'))
  assert.equal(seen(ended).isWhole, true)
})
