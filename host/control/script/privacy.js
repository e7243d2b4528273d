// The one thing on the page that needs a script: to ask the browser for the
// exact place. The form is hidden without it.
'use strict';
const form = document.getElementById('exact');
if (form && navigator.geolocation) {
  form.hidden = false;
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    navigator.geolocation.getCurrentPosition(({ coords }) => {
      form.lat.value = coords.latitude;
      form.lon.value = coords.longitude;
      form.submit();
    }, () => { form.querySelector('[role=alert]').hidden = false; }, { timeout: 20000 });
  });
}
