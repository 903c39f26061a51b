import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CaptureError } from '#src/errors.js'
import { checkRotation, FileSequence, KeptFiles, type RotationOptions } from '#src/file/rotation.js'
import { strftime } from '#src/file/strftime.js'

function names(options: RotationOptions, count: number, pattern = 'f.pcap'): string[] {
  const sequence = new FileSequence(pattern, options, 0)
  return [sequence.name, ...Array.from({ length: count - 1 }, () => sequence.advance('size', 0))]
}

test('-C numbers files as tcpdump does: the first one has none', () => {
  assert.deepEqual(names({ sizeBytes: 1 }, 12), ['f.pcap', ...Array.from({ length: 11 }, (_, index) => `f.pcap${index + 1}`)])
})

test('-W pads with zeros to the width of the last number, and begins anew', () => {
  assert.deepEqual(names({ sizeBytes: 1, files: 3 }, 5), ['f.pcap0', 'f.pcap1', 'f.pcap2', 'f.pcap0', 'f.pcap1'])
  assert.deepEqual(names({ sizeBytes: 1, files: 1 }, 2), ['f.pcap0', 'f.pcap0'])
  assert.equal(names({ sizeBytes: 1, files: 10 }, 2)[1], 'f.pcap1')
  assert.equal(names({ sizeBytes: 1, files: 11 }, 2)[1], 'f.pcap01')
  assert.equal(names({ sizeBytes: 1, files: 1000 }, 1)[0], 'f.pcap000')
})

test('a file is followed when it is longer than the size, not when it is as long', () => {
  const sequence = new FileSequence('f', { sizeBytes: 1000 }, 0)
  assert.deepEqual([sequence.due(999, 0), sequence.due(1000, 0), sequence.due(1001, 0)], [undefined, undefined, 'size'])
})

test('-G names files by the time they begin, and counts from there', () => {
  const sequence = new FileSequence('f-%s', { seconds: 60 }, 1000)
  assert.equal(sequence.name, 'f-1000')
  assert.deepEqual([sequence.due(1e12, 1059.9), sequence.due(0, 1060)], [undefined, 'time'])
  assert.equal(sequence.advance('time', 1100), 'f-1100')
  assert.deepEqual([sequence.due(0, 1159), sequence.due(0, 1160)], [undefined, 'time'])
})

test('a time that is known late names the file that is being written, and numbers go on', () => {
  const files = new FileSequence('n-%s', { sizeBytes: 100, seconds: 10 }, 5)
  assert.deepEqual([files.name, files.advance('size', 0)], ['n-5', 'n-51'])
  files.begin(1000)
  assert.deepEqual([files.name, files.due(1, 1009), files.due(1, 1010)], ['n-10001', undefined, 'time'])
  assert.equal(files.advance('time', 1010), 'n-1010')
})

test('-G with -C numbers within the time; time comes first', () => {
  const sequence = new FileSequence('f-%s.pcap', { seconds: 60, sizeBytes: 10 }, 0)
  assert.equal(sequence.advance('size', 1), 'f-0.pcap1')
  assert.equal(sequence.advance('size', 2), 'f-0.pcap2')
  assert.equal(sequence.due(11, 60), 'time')
  assert.equal(sequence.nameAfter('time', 60), 'f-60.pcap')
  assert.equal(sequence.nameAfter('size', 60), 'f-0.pcap3')
  assert.equal(sequence.name, 'f-0.pcap2')
  assert.equal(sequence.advance('time', 60), 'f-60.pcap')
  assert.equal(sequence.advance('size', 61), 'f-60.pcap1')
})

test('-W with -G alone ends after so many files', () => {
  const sequence = new FileSequence('f-%s', { seconds: 1, files: 2 }, 0)
  assert.equal(sequence.isLast('time'), false)
  sequence.advance('time', 1)
  assert.equal(sequence.isLast('time'), true)
  assert.equal(new FileSequence('f', { seconds: 1, sizeBytes: 1, files: 1 }, 0).isLast('time'), false)
  assert.equal(new FileSequence('f', { sizeBytes: 1, files: 1 }, 0).isLast('size'), false)
})

test('% in a name is a time with -G, or where it is asked for, and else itself', () => {
  assert.equal(new FileSequence('%Y', { sizeBytes: 1 }, 0).name, '%Y')
  assert.equal(new FileSequence('%Y', {}, 0).name, '%Y')
  assert.equal(new FileSequence('%Y', { timeInNames: true }, 0).name, strftime('%Y', new Date(0)))
  assert.equal(new FileSequence('%Y', { seconds: 1, timeInNames: false }, 0).name, '%Y')
})

test('what contradicts itself is refused', () => {
  const cases: [RotationOptions, RegExp][] = [
    [{ files: 3 }, /files needs sizeBytes or seconds/],
    [{ keepBytes: 3 }, /keepBytes needs sizeBytes or seconds/],
    [{ sizeBytes: 0 }, /sizeBytes to be a whole number above 0, got 0/],
    [{ seconds: 1.5 }, /seconds .* got 1.5/],
    [{ sizeBytes: 1, files: Number.NaN }, /files .* got NaN/],
    [{ sizeBytes: 10, keepBytes: 9 }, /keepBytes 9 is less than one file/],
  ]
  for (const [options, message] of cases) {
    assert.throws(
      () => checkRotation(options),
      (error) => error instanceof CaptureError && error.code === 'INVALID_OPTION' && message.test(error.message),
      JSON.stringify(options),
    )
  }
  for (const options of [{}, { sizeBytes: 1, files: 1 }, { seconds: 1, keepBytes: 1 }, { sizeBytes: 10, keepBytes: 10 }]) checkRotation(options)
})

test('--keep takes the oldest away until there is room', () => {
  const kept = new KeptFiles(100)
  for (const [index, bytes] of [40, 30, 20].entries()) kept.add(`f${index}`, bytes)
  assert.deepEqual(kept.excess(10), [])
  assert.deepEqual(kept.excess(11), ['f0'])
  assert.equal(kept.bytes, 50)
  assert.deepEqual(kept.excess(1000), ['f1', 'f2'])
  assert.deepEqual(kept.excess(1000), [])
})

test('--keep counts a file that was written over once, and last; one that a command replaced in its place', () => {
  const kept = new KeptFiles(100)
  kept.add('a', 40)
  kept.add('b', 40)
  kept.add('a', 50)
  assert.equal(kept.bytes, 90)
  assert.ok(kept.replace('b', 'b.gz', 5))
  assert.equal(kept.replace('c', 'c.gz', 5), false)
  assert.equal(kept.bytes, 55)
  assert.deepEqual(kept.excess(60), ['b.gz', 'a'])
  assert.deepEqual(new KeptFiles(Number.POSITIVE_INFINITY).excess(2 ** 50), [])
})
