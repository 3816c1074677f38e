// What differs from one deployment to another. The other files of this folder ask for it.

module.exports = async ({ resolveVariable }) => {
  const name = await resolveVariable('sls:stage');
  const emulated = /^https?:\/\/(127\.|localhost\b|\[::1\])/.test(
    process.env.AWS_ENDPOINT_URL || '',
  );
  const local = name === 'local' && emulated;
  // One that comes and goes takes along what it holds. What all others hold is kept by
  // CloudFormation, also when the stack is removed.
  const passing = local || name.startsWith('pr-');
  return {
    deletion: passing ? 'Delete' : 'RetainExceptOnCreate',
    // Workers at the same time. On this machine they share the processors with the emulator: two,
    // the fewest that AWS allows, are faster than ten.
    maximumConcurrency: local ? 2 : 10,
    // Seconds. A message is hidden six times as long as the worker may take (AWS Lambda
    // Developer Guide, "Using Lambda with Amazon SQS"). On this machine nobody wants to wait a
    // minute for the next try; but a worker that has just started on a busy one needs its time.
    workerTimeout: local ? 5 : 10,
    visibilityTimeout: local ? 6 : 60,
  };
};
