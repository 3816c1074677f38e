// Who says who a caller is: the user pool of this stack, or any other OpenID Connect provider:
//   tox -e deploy -- --stage dev --param issuer=https://login.example.com
//     --param audience=vehicles --param scopes=orders
// Several audiences or scopes are separated by commas. The owner of an order is the claim `sub`.

module.exports = async ({ resolveVariable }) => {
  const given = (name) => resolveVariable(`param:${name}, ''`);
  const list = (text) => text.split(',').filter(Boolean);
  const [issuer, audience, scopes] = await Promise.all(['issuer', 'audience', 'scopes'].map(given));
  return {
    issuer: issuer || {
      'Fn::Join': [
        '',
        ['https://cognito-idp.', { Ref: 'AWS::Region' }, '.amazonaws.com/', { Ref: 'UserPool' }],
      ],
    },
    audience: audience ? list(audience) : [{ Ref: 'UserPoolClient' }],
    // Cognito puts this one into access tokens alone: an identity token opens nothing.
    scopes: list(scopes || 'aws.cognito.signin.user.admin'),
  };
};
