// What differs from one deployment to another. The other files of this folder ask for it.

module.exports = async ({ resolveVariable }) => {
  const name = await resolveVariable('sls:stage');
  const emulated = /^https?:\/\/(127\.|localhost\b|\[::1\])/.test(
    process.env.AWS_ENDPOINT_URL || '',
  );
  const local = name === 'local' && emulated;
  // A temporary deployment deletes its data when it is removed. All others keep theirs.
  const temporary = local || name.startsWith('pr-');
  // Seconds. A message is hidden six times as long as the worker may take (AWS Lambda
  // Developer Guide, "Using Lambda with Amazon SQS"); on this machine nobody wants to wait long
  // for the next try.
  const workerTimeout = local ? 2 : 10;
  return {
    deletion: temporary ? 'Delete' : 'RetainExceptOnCreate',
    // Workers at the same time. On this machine they share the processors with the emulator: two,
    // the fewest that AWS allows, are faster than ten.
    maximumConcurrency: local ? 2 : 10,
    workerTimeout,
    visibilityTimeout: 6 * workerTimeout,
  };
};
